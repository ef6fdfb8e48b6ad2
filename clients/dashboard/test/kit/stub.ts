import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { ASSETS } from "./assets.ts";

/** As strict as the hub's own: nothing that is not a file of the page, no inline script or style, no frames. */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
export const TYPES: Readonly<Record<string, string>> = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css" };

export interface Ask {
  readonly method: string;
  /** Below the hub's address, with its query. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

/** What is answered, or that nothing ever is; `undefined`: the next one is asked. */
export type Answer = (ask: Ask) => { status?: number; json?: unknown; stream?: string } | "silence" | undefined;

/** Serves the page below a path, as behind a proxy, and says what a test wants where a hub would answer. */
export interface Stub {
  /** With a slash at its end. */
  readonly url: string;
  readonly asks: readonly Ask[];
  /** Paths of the streams that are open. */
  streams(): readonly string[];
  /** Paths of the calls that get no answer and are waited for. */
  waiting(): readonly string[];
  /** To all streams whose path begins like this. */
  send(path: string, type: string, data: unknown): void;
  /** Asked before what was there. */
  answer(answer: Answer): void;
  stop(): Promise<void>;
}

export async function startStub(first: Answer, prefix = "/behind/a proxy/"): Promise<Stub> {
  const below = encodeURI(prefix);
  const open = new Map<ServerResponse, string>();
  const silent = new Map<ServerResponse, string>();
  const asks: Ask[] = [];
  const answers = [first];
  let n = 0;

  const reply = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = request.url ?? "";
    if (!url.startsWith(below)) return void response.writeHead(404).end();
    const path = url.slice(below.length);
    const file = path === "" ? "index.html" : path;
    if (/^(index\.html|dashboard-[0-9a-f]+\.(js|css))$/.test(file)) {
      const bytes = await readFile(join(ASSETS, file));
      return void response.writeHead(200, { "content-type": TYPES[extname(file)], "content-security-policy": POLICY }).end(bytes);
    }
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    const ask = { method: request.method ?? "", path, authorization: request.headers.authorization, body };
    asks.push(ask);
    for (const answer of answers) {
      const said = answer(ask);
      if (!said) continue;
      if (said === "silence") {
        silent.set(response, path);
        return void response.once("close", () => silent.delete(response));
      }
      const { status = 200, json, stream } = said;
      if (stream === undefined) {
        const type = status < 400 ? "application/json" : "application/problem+json";
        return void response.writeHead(status, { "content-type": type }).end(json === undefined ? "" : JSON.stringify(json));
      }
      response.writeHead(200, { "content-type": "text/event-stream", "heartbeat-interval": "15", "cache-control": "no-store" });
      response.write(`: watertight\nretry: 100\nid: epoch-0\n\n${stream}`);
      open.set(response, path);
      return void response.once("close", () => open.delete(response));
    }
    response.writeHead(404, { "content-type": "application/problem+json" }).end(JSON.stringify({ code: "NOT_FOUND", detail: "nothing here" }));
  };

  const server = createServer((request, response) => {
    reply(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${below}`,
    asks,
    streams: () => [...open.values()],
    waiting: () => [...silent.values()],
    send(path, type, data) {
      const text = block(`epoch-${++n}`, type, data);
      for (const [response, of] of open) if (of.startsWith(path)) response.write(text);
    },
    answer: (answer) => void answers.unshift(answer),
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Events with which a stream begins. */
export function events(list: readonly (readonly [type: string, data: unknown])[]): string {
  return list.map(([type, data], index) => block(`first-${index + 1}`, type, data)).join("");
}

function block(id: string, type: string, data: unknown): string {
  const lines = (typeof data === "string" ? data : JSON.stringify(data)).split("\n").map((line) => `data: ${line}\n`);
  return `id: ${id}\nevent: ${type}\n${lines.join("")}\n`;
}
