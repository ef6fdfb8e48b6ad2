import type { Clock } from "../index.ts";
import { HubConnection } from "./connection.ts";
import { encodeEvent, encodeGap, firstAnswer, Log, type LoggedEvent, type Reading } from "./log.ts";
import { readRequest, type HubRequest, type ReadRequest } from "./request.ts";

/** Settings of {@link createMemoryHub}. */
export interface MemoryHubOptions {
  /** Time for heartbeats, for the wait of long-polls and for `created_at`. Default: the global timers. */
  clock?: Clock | undefined;
  /** Silence after which a heartbeat is written, seconds. Default 15; 0: never. */
  heartbeatInterval?: number | undefined;
  /** The `retry:` of each stream, milliseconds. Default 2,000. */
  retry?: number | undefined;
  /** Events that each session keeps. Default 500. */
  history?: number | undefined;
}

/** How a refusal looks, where its status alone will not do. */
export interface Refusal {
  /** For example `{ "retry-after": "5" }`. */
  headers?: Record<string, string> | undefined;
  /** The problem document's stable code. */
  code?: string | undefined;
  /** The problem document's words. */
  detail?: string | undefined;
}

interface Link {
  readonly connection: HubConnection;
  readonly request: ReadRequest;
  /** Where it stands; `undefined` before its head. */
  cursor: string | undefined;
  /** Nothing is written any more. */
  silent: boolean;
  timer: unknown;
}

const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: (handle) => clearTimeout(handle as number),
};

/**
 * A hub without a network: its `fetch` speaks the protocol of the real one, with real streams, and it fails in whatever
 * way a test asks for. What a fault does to connections that are there and to those that come, each method says.
 */
export class MemoryHub {
  readonly #clock: Clock;
  readonly #heartbeat: number;
  readonly #retry: number;
  readonly #history: number;
  readonly #logs = new Map<string, Log>();
  readonly #links = new Set<Link>();
  readonly #requests: HubRequest[] = [];
  #refusals: { what: number | Error; how: Refusal }[] = [];
  #held = false;
  #buffering = false;
  #pieces = Infinity;

  constructor({ clock = systemClock, heartbeatInterval = 15, retry = 2_000, history = 500 }: MemoryHubOptions = {}) {
    this.#clock = clock;
    this.#heartbeat = heartbeatInterval;
    this.#retry = retry;
    this.#history = history;
  }

  /** Requests that are not over: streams, waiting long-polls, heads that are held back. */
  get connections(): number {
    return this.#links.size;
  }

  /** Those of them that are streams with a head. */
  get streams(): number {
    return [...this.#links].filter(({ cursor, request }) => cursor !== undefined && request.delivery === "stream").length;
  }

  /** Every request since the beginning, refused ones too. */
  get requests(): readonly HubRequest[] {
    return this.#requests;
  }

  /** Refusals that were ordered and have not been given yet. */
  get refusals(): number {
    return this.#refusals.length;
  }

  /** Instead of the global one. Relative URLs will do. */
  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
    signal?.throwIfAborted();
    const request = readRequest(input, init);
    this.#requests.push(request);
    const connection = new HubConnection(signal, () => {
      this.#clock.clearTimeout(link.timer);
      this.#links.delete(link);
    });
    const link: Link = { connection, request, cursor: undefined, silent: false, timer: undefined };
    this.#links.add(link);
    if (!this.#held) this.#answer(link);
    return connection.response;
  };

  /** Publishes an event. `data` is any JSON and arrives as its JSON text. Returns the event's id. */
  publish(sessionId: string, type: string, data?: unknown): string {
    return this.publishText(sessionId, type, JSON.stringify(data) ?? "null");
  }

  /** Publishes an event whose data is a text as it stands. Returns the event's id. */
  publishText(sessionId: string, type: string, text: string): string {
    return this.#append(sessionId, (log, now) => log.append(type, text, now));
  }

  /**
   * What feeds the session was cut off: a gap of the reason `source` for all its readers, now and in its history. Returns the
   * gap's id.
   *
   * @param missed how many events are missing, if that is known
   */
  sourceGap(sessionId: string, missed: number | null = null): string {
    return this.#append(sessionId, (log, now) => log.appendGap(missed, now));
  }

  // Faults.

  /** Breaks all connections, as a lost network that is noticed does. */
  drop(error: Error = new TypeError("network error")): void {
    for (const { connection } of this.#links) connection.fail(error);
  }

  /** Ends all streams cleanly and without a word, as a proxy that restarts does. */
  end(): void {
    for (const { connection } of this.#links) connection.close();
  }

  /**
   * Sends the closing event with a code of the protocol (`SHUTTING_DOWN`, `SESSION_ENDED`, `TIMEOUT`, …) on all streams, and ends them.
   * Waiting long-polls are answered. `SESSION_ENDED` ends the sessions: they begin anew, with another epoch.
   */
  closingEvent(code = "SHUTTING_DOWN", words = "closed"): void {
    const final = ["SESSION_ENDED", "FORBIDDEN", "TOKEN_REVOKED"].includes(code);
    const data = { error: words, code };
    for (const link of this.#links) {
      if (link.request.delivery === "poll") {
        if (final) this.#answerPoll(link, { events: [], next: link.cursor ?? "", gap: null }, data);
        else this.#refuse(link, 503, { code, detail: words });
        continue;
      }
      const retry = final ? "" : `retry: ${this.#retry}\n`;
      this.#write(link, `event: error\ndata: ${JSON.stringify(data)}\n${retry}\n`);
      link.connection.close();
    }
    if (code === "SESSION_ENDED") this.#logs.clear();
  }

  /** No byte comes any more over the connections that are there, and nobody is told. New ones work. */
  silence(): void {
    for (const link of this.#links) {
      link.silent = true;
      this.#clock.clearTimeout(link.timer);
    }
  }

  /** Refuses the next `times` requests: with a status (204 too), or with an error as of a network that is not there. */
  refuse(times: number, what: number | Error, how: Refusal = {}): void {
    for (let time = 0; time < times; time++) this.#refusals.push({ what, how });
  }

  /** From now on each write arrives in pieces of so many bytes. Default: as it was written. */
  chunk(bytes = Infinity): void {
    this.#pieces = Math.max(1, bytes);
  }

  /** New requests get no answer at all until `release`. */
  hold(): void {
    this.#held = true;
  }

  /** Answers those that were held back. */
  release(): void {
    this.#held = false;
    for (const link of this.#links) if (link.cursor === undefined) this.#answer(link);
  }

  /** From now on something on the way keeps streams back, head and all; long-polls get through. `false`: no longer. */
  buffer(on = true): void {
    this.#buffering = on;
    if (!on) this.release();
  }

  /** All connections break, and all sessions begin anew: no id from before is known. */
  restart(): void {
    this.drop();
    this.#logs.clear();
  }

  #append(sessionId: string, append: (log: Log, now: number) => LoggedEvent): string {
    const { id } = append(this.#log(sessionId), this.#clock.now() / 1_000);
    for (const link of this.#links) if (link.request.sessionId === sessionId) this.#deliver(link);
    return id;
  }

  // Answers.

  #answer(link: Link): void {
    const { connection, request } = link;
    const refusal = this.#refusals.shift();
    if (refusal?.what instanceof Error) return connection.fail(refusal.what);
    if (refusal) return this.#refuse(link, refusal.what as number, refusal.how);
    if (request.delivery === "stream" && this.#buffering) return;
    const { lastEventId, replay, limit } = request;
    const log = this.#log(request.sessionId);
    const reading = log.read(lastEventId, replay, limit);
    link.cursor = reading.next;
    if (request.delivery === "poll") {
      if (reading.gap || reading.events.length) return this.#answerPoll(link, reading);
      link.timer = this.#clock.setTimeout(() => this.#answerPoll(link, reading), request.wait * 1_000);
      return;
    }
    connection.begin({
      "content-type": "text/event-stream",
      "cache-control": "no-store, no-transform",
      ...(this.#heartbeat ? { "heartbeat-interval": String(this.#heartbeat) } : {}),
    });
    const position = reading.gap ? "" : `id: ${log.read(lastEventId, replay, 0).next}\n`;
    const gap = reading.gap ? encodeGap(reading.gap) : "";
    this.#write(link, `: watertight\nretry: ${this.#retry}\n${position}\n${gap}${reading.events.map(encodeEvent).join("")}`);
  }

  #answerPoll({ connection }: Link, reading: Reading, end?: object): void {
    const { events: logged, next, gap } = firstAnswer(reading);
    const events = logged.map(({ id, type, data, createdAt }) => ({ id, type, data, created_at: createdAt }));
    const headers = { "content-type": "application/json", "cache-control": "no-store" };
    connection.answer(200, headers, JSON.stringify({ events, next, gap, end }));
  }

  #refuse({ connection }: Link, status: number, { headers, code, detail }: Refusal): void {
    const problem = JSON.stringify({ type: "about:blank", title: "Refused", status, detail, code });
    const hasBody = ![204, 205, 304].includes(status);
    connection.answer(status, { "content-type": "application/problem+json", ...headers }, hasBody ? problem : null);
  }

  #deliver(link: Link): void {
    if (link.cursor === undefined || link.silent) return;
    const reading = this.#log(link.request.sessionId).read(link.cursor, null, link.request.limit);
    if (link.request.delivery === "poll") return this.#answerPoll(link, reading);
    link.cursor = reading.next;
    this.#write(link, (reading.gap ? encodeGap(reading.gap) : "") + reading.events.map(encodeEvent).join(""));
  }

  #write(link: Link, text: string): void {
    if (link.silent) return;
    const bytes = new TextEncoder().encode(text);
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += this.#pieces) pieces.push(bytes.slice(at, at + this.#pieces));
    link.connection.write(pieces);
    if (!this.#heartbeat || !link.connection.open) return;
    this.#clock.clearTimeout(link.timer);
    link.timer = this.#clock.setTimeout(() => this.#write(link, ":\n\n"), this.#heartbeat * 1_000);
  }

  #log(sessionId: string): Log {
    const log = this.#logs.get(sessionId) ?? new Log(this.#history);
    this.#logs.set(sessionId, log);
    return log;
  }
}

/** A hub of its own for each test. */
export function createMemoryHub(options?: MemoryHubOptions): MemoryHub {
  return new MemoryHub(options);
}
