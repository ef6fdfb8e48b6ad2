// From the hub to a page, through this process: for pages that must not reach the hub themselves.
//
// Bytes pass as they come, in both ways of delivery (streams and long-polls). Nothing is kept: a page that does not read stops the
// reading from the hub, which notices as it notices any slow reader. Whoever leaves first, the other side is closed at once.
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { pipeline } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { bodyOf, headersOf, noHub } from "./problem.ts";

/** How long nothing may come from the hub: it sends heartbeats every 15 s, and holds long-polls for 60 s at most. Milliseconds. */
const SILENCE_MAX = 75_000;
/** What the hub is to know of a page's request. */
const UP = ["accept", "last-event-id"];
/** What a page is to know of the hub's answer. */
const DOWN = ["content-type", "cache-control", "heartbeat-interval", "retry-after", "vary", "x-accel-buffering", "x-content-type-options"];

/** All relays of this process. */
export class Relays {
  opened = 0;
  readonly #live = new Set<() => void>();

  get live(): number {
    return this.#live.size;
  }

  /**
   * Answers with what the hub answers, from now on until one of the three is over: the hub's answer, the page's interest, this
   * process. Does not wait for it. The reply belongs to the relay.
   *
   * @param url of the hub's stream, with the page's own query
   * @param token for the hub, as whoever is signed in
   */
  begin(request: FastifyRequest, reply: FastifyReply, url: URL, token: string): void {
    reply.hijack();
    const response = reply.raw;
    // It may have left while we looked who it is; then nobody tells us again.
    if (response.destroyed) return;
    const headers: Record<string, string> = { authorization: `Bearer ${token}` };
    for (const name of UP) {
      const value = request.headers[name];
      if (typeof value === "string") headers[name] = value;
    }
    const ask = url.protocol === "https:" ? httpsRequest : httpRequest;
    // A connection of its own, as the hub's streams have: it ends with the stream.
    const upstream = ask(url, { headers, agent: false });
    const end = (): void => {
      upstream.destroy();
      response.destroy();
    };
    this.opened++;
    this.#live.add(end);
    response.once("close", () => {
      this.#live.delete(end);
      upstream.destroy();
    });
    upstream.setTimeout(SILENCE_MAX, () => upstream.destroy(new Error("the hub is silent")));
    upstream.once("response", (answer: IncomingMessage) => {
      const passed: Record<string, string> = {};
      for (const name of DOWN) {
        const value = answer.headers[name];
        if (typeof value === "string") passed[name] = value;
      }
      response.writeHead(answer.statusCode ?? 502, passed);
      // An answer that breaks off breaks off here, too: a page must not take it for a whole one.
      pipeline(answer, response, () => {});
    });
    // Also told when `end` destroys it: then there is nobody left to tell.
    upstream.once("error", () => {
      if (response.headersSent || response.destroyed) return void response.destroy();
      const problem = noHub();
      response.writeHead(problem.status, headersOf(problem)).end(bodyOf(problem));
    });
    upstream.end();
  }

  /** Breaks all of them off: their pages come back, to whoever is there then. */
  stop(): void {
    for (const end of [...this.#live]) end();
  }
}
