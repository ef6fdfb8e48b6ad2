import { checkEventStream, isProblem, readPoll, refusal, silenceAllowed } from "./answer.ts";
import type { Cursor } from "./cursor.ts";
import type { Time, Timer } from "./environment.ts";
import { SSEError, toSSEError, withoutSecrets } from "./errors.ts";
import type { Way } from "./fallback.ts";
import { ledger } from "./ledger.ts";
import {
  CONNECT_TIMEOUT,
  ERROR_BODY_MAX,
  HEALTHY_AFTER,
  POLL_ANSWER_MAX,
  POLL_LIMIT,
  POLL_WAIT,
  REFUSAL_TIMEOUT,
  RESUME_GRACE,
  SILENCE_MAX,
} from "./limits.ts";
import { createParser, type ParserSink } from "./parser.ts";
import { buildRequest, type BuiltRequest } from "./request.ts";
import type { SSEClientOptions } from "./types.ts";

/** What an attempt tells its client. Nothing of it is called once the attempt has ended. */
export interface AttemptHost extends ParserSink {
  readonly options: SSEClientOptions<any>;
  readonly time: Time;
  readonly cursor: Cursor;
  /** The stream is there. */
  opened(): void;
  onId(id: string): void;
  /** A long-poll was answered, and its events were delivered; the attempt has ended. */
  polled(attempt: Attempt): void;
  /** The server said that nothing more will come (204). */
  stopped(): void;
  /** The attempt has ended, exactly once. */
  failed(attempt: Attempt, error: SSEError): void;
}

/** What kind of attempt it is to be. */
export interface AttemptPlan {
  readonly way: Way;
  /** Of a long-poll: how long the hub may wait for events, seconds. */
  readonly wait: number;
  /** The last answer was 401. */
  readonly refresh: boolean;
}

/**
 * One request, from its first step to its last: a stream, or a long-poll of the same session with the same cursor. It begins
 * in a microtask, so that its client knows it before anything can happen to it. It owns its abort controller, its reader and
 * its one timer, and gives all three back in `end`, on every path.
 */
export class Attempt {
  readonly way: Way;
  /** A stream, of which at least one byte came. */
  hasReceivedBytes = false;
  /** The server ended the stream as HTTP has it, rather than breaking off. */
  hasEndedCleanly = false;
  /** It speaks as a hub does: `error` and `gap` are its own words. */
  isHub: boolean;
  /** Nothing of an attempt that is not live is heard any more. */
  isLive = true;

  readonly #host: AttemptHost;
  readonly #plan: AttemptPlan;
  readonly #time: Time;
  readonly #timer: Timer;
  readonly #controller = new AbortController();
  /** The body as it came, then what reads it: what has to be cancelled. */
  #body: { cancel?(): Promise<unknown> } | null | undefined;
  /** Silence of this length ends the attempt, with this error if there is one. */
  #silenceMax = 0;
  #silenceError: SSEError | undefined;
  #silentSince = 0;
  readonly #begunAt: number;
  /** Of the stream: when its last byte came. */
  #lastByteAt = -Infinity;

  constructor(host: AttemptHost, plan: AttemptPlan) {
    this.#host = host;
    this.#plan = plan;
    this.#time = host.time;
    this.#timer = host.time.createTimer();
    this.way = plan.way;
    this.isHub = host.options.url === undefined || plan.way === "poll";
    this.#begunAt = host.time.now();
    ledger.attempts++;
    queueMicrotask(() => {
      if (this.isLive) this.#run().catch((thrown) => this.#fail(toSSEError(thrown)));
    });
  }

  /** A stream that brought bytes for so long was healthy, even without an event. */
  get wasWell(): boolean {
    return this.#lastByteAt - this.#begunAt >= HEALTHY_AFTER;
  }

  /** Gives everything back, at once; once more what came too late. */
  end(): void {
    if (this.isLive) ledger.attempts--;
    this.isLive = false;
    this.#timer.clear();
    this.#controller.abort();
    // A fetch that takes no heed of its signal must not keep the socket. Cancelling cannot fail in a way that matters.
    this.#body?.cancel?.()?.catch(() => {});
  }

  /** Something happened (the page is shown, the network is back): a stream that is late has to prove itself. */
  wake(): void {
    const now = this.#time.now();
    if (!this.hasReceivedBytes || now - this.#silentSince < this.#silenceMax / 2) return;
    this.#silentSince = Math.min(this.#silentSince, now - this.#silenceMax + RESUME_GRACE);
    this.#watch();
  }

  async #run(): Promise<void> {
    const { options, cursor } = this.#host;
    const { wait, refresh } = this.#plan;
    const isPoll = this.way === "poll";
    this.#allowSilence((options.connectTimeout ?? CONNECT_TIMEOUT) + (isPoll ? POLL_WAIT * 1000 : 0));
    const context = { signal: this.#controller.signal, refresh };
    const query = isPoll ? { wait, limit: POLL_LIMIT } : undefined;
    const request = await buildRequest(options, context, cursor.resume, query);
    if (!this.isLive) return;
    const response = await this.#send(request);
    this.#body = response.body;
    if (!this.isLive) return this.end();
    checkBody(response);
    if (response.status === 204) this.#host.stopped();
    else if (response.status >= 300) await this.#readRefusal(response);
    else await (isPoll ? this.#readPoll(response) : this.#readStream(response));
  }

  async #send(request: BuiltRequest): Promise<Response> {
    const { url, init, secrets } = request;
    try {
      return await (this.#host.options.fetch ?? globalThis.fetch)(url, init);
    } catch (thrown) {
      // Some workers have no caches, and say so by throwing.
      if (init.cache && `${thrown}`.includes("cache")) {
        delete init.cache;
        return this.#send(request);
      }
      throw thrown instanceof SSEError ? thrown : toSSEError(withoutSecrets(thrown, secrets));
    }
  }

  async #readStream(response: Response): Promise<void> {
    const { options, cursor } = this.#host;
    const heartbeat = response.headers.get("heartbeat-interval");
    checkEventStream(response);
    this.isHub ||= heartbeat !== null;
    const parse = createParser(this.#host, cursor.id, options.maxEventBytes, () => this.isLive);
    const open = (): void => {
      this.#allowSilence(options.readTimeout ?? silenceAllowed(heartbeat));
      this.#host.opened();
    };
    // A hub writes its first bytes at once. If they do not come, somebody on the way keeps them: no stream yet.
    if (heartbeat === null) open();
    await this.#read(response, (bytes) => {
      if (heartbeat !== null && !this.hasReceivedBytes) open();
      this.hasReceivedBytes = true;
      this.#lastByteAt = this.#silentSince = this.#time.now();
      parse(bytes);
    });
    this.hasEndedCleanly = true;
    throw new SSEError("network", "stream ended");
  }

  async #readPoll(response: Response): Promise<void> {
    const answer = readPoll(await this.#readText(response, POLL_ANSWER_MAX));
    if (!answer) throw new SSEError("protocol", "no answer to a long-poll");
    const { events, next, gap, end } = answer;
    if (gap) events.unshift({ type: "gap", data: JSON.stringify(gap), id: gap.to ?? "" });
    if (end) events.push({ type: "error", data: JSON.stringify(end), id: next });
    for (const { type, data, id } of events) {
      if (!this.isLive) return;
      this.#host.onEvent(type, data, id, true);
    }
    if (!this.isLive) return;
    this.#host.onId(next);
    this.end();
    this.#host.polled(this);
  }

  async #readRefusal(response: Response): Promise<void> {
    const error = refusal(response, "", this.#time.wall());
    if (!isProblem(response)) throw error;
    // With the server's own words, if they come soon.
    this.#allowSilence(REFUSAL_TIMEOUT, error);
    throw refusal(response, await this.#readText(response, ERROR_BODY_MAX).catch(() => ""), this.#time.wall());
  }

  /** Reads the body until its end, or until `take` says false, or until the attempt is ended. */
  async #read(response: Response, take: (bytes: Uint8Array) => unknown): Promise<void> {
    if (!response.body) {
      // Where `fetch` has no streams (React Native), the body is there when all of it is.
      const text = await response.text();
      if (text && this.isLive) take(new TextEncoder().encode(text));
      return;
    }
    const reader = response.body.getReader();
    this.#body = reader;
    for (;;) {
      const { done, value } = await reader.read();
      if (!this.isLive || done || take(value) === false) return;
    }
  }

  /** The body as text, cut off where it is longer than `max`. */
  async #readText(response: Response, max: number): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    await this.#read(response, (bytes) => {
      text += decoder.decode(bytes, { stream: true });
      return text.length <= max;
    });
    return text;
  }

  #fail(error: SSEError): void {
    if (!this.isLive) return;
    this.end();
    this.#host.failed(this, error);
  }

  /** From now on silence of this length ends the attempt. Every byte of a stream begins it anew, which costs one assignment. */
  #allowSilence(milliseconds: number, error?: SSEError): void {
    this.#silenceMax = Math.min(milliseconds, SILENCE_MAX);
    this.#silenceError = error;
    this.#silentSince = this.#time.now();
    this.#watch();
  }

  #watch(): void {
    const left = this.#silentSince + this.#silenceMax - this.#time.now();
    // In thirds, so that a machine that slept is noticed soon after it woke.
    this.#timer.set(Math.min(left, this.#silenceMax / 3 + 1), () => {
      if (this.#time.now() - this.#silentSince < this.#silenceMax) this.#watch();
      else this.#fail(this.#silenceError ?? new SSEError("timeout", `silent ${this.#silenceMax} ms`));
    });
  }
}

/** @throws SSEError if the body is none that a browser's `fetch` would give: `node-fetch` and its like cannot be used. */
function checkBody({ body }: Response): void {
  if (!body || typeof body.getReader === "function") return;
  (body as { destroy?(): void }).destroy?.();
  throw new SSEError("protocol", "a body of node-fetch is no web stream");
}
