import { refusal } from "./answer.ts";
import { Timer } from "./environment.ts";
import { SSEError, toSSEError } from "./errors.ts";
import { ledger } from "./ledger.ts";
import { CONNECT_TIMEOUT, ERROR_BODY_MAX, REFUSAL_TIMEOUT, RESUME_GRACE } from "./limits.ts";
import { buildRequest } from "./request.ts";
import type { SSEClientOptions } from "./types.ts";

/** What an attempt tells its client. Each is called only while the attempt lives. */
export interface AttemptHost {
  readonly options: SSEClientOptions<any>;
  /** The last event id delivered. */
  readonly cursor: string;
  /** Whether the last answer was 401. */
  readonly refresh: boolean;
  /** The stream is there. */
  opened(attempt: Attempt): void;
  /** @param own whether the event has an id of its own */
  event(type: string, text: string, id: string, own: boolean): void;
  position(id: string): void;
  retry(milliseconds: number): void;
  comment: ((text: string) => void) | undefined;
  /** A long-poll was answered. */
  polled(attempt: Attempt, events: number): void;
  /** The server said that nothing more will come (204). */
  stopped(attempt: Attempt): void;
  /** The attempt is over, exactly once. */
  lost(attempt: Attempt, error: SSEError): void;
}

/**
 * One request from its first step to its last: token, head, body. It owns its abort controller, its reader and
 * its one timer, and gives all three back in `end`, on every path. Once ended it tells its client nothing more.
 */
export abstract class Attempt {
  live = true;
  /** The stream is there. */
  opened = false;
  /** At least one byte of the body came. */
  heard = false;
  /** It ended because no stream came, though nobody refused one. */
  mute = false;
  /** When it began. */
  readonly begun: number;
  protected readonly host: AttemptHost;
  #controller = new AbortController();
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #timer: Timer;
  /** The status of the answer is an error already; its body is read only for the words. */
  #verdict: SSEError | undefined;
  #limit = 0;
  #lastByte = 0;
  #checkAt = 0;

  constructor(host: AttemptHost) {
    const { clock, keepAlive } = host.options;
    this.host = host;
    this.#timer = new Timer(clock, keepAlive);
    this.begun = this.#timer.now();
    ledger.attempts++;
  }

  /** Begins. Apart from the constructor, so that the client knows its attempt before anything can happen to it. */
  start(): void {
    this.arm(this.connectTimeout);
    this.run().catch((thrown: unknown) => this.fail(toSSEError(thrown)));
  }

  /** Gives everything back, at once. */
  end(): void {
    if (!this.live) return;
    this.live = false;
    ledger.attempts--;
    this.#timer.clear();
    // The body first: a fetch that takes no heed of its signal must not keep the socket.
    this.#reader?.cancel().catch(ignore);
    this.#controller.abort();
  }

  /** Something on the way happened (the page is shown, the network is back): a stream that missed a heartbeat has to prove itself. */
  wake(): void {
    const now = this.#timer.now();
    if (!this.opened || now - this.#lastByte < this.#limit / 2) return;
    this.#lastByte = Math.min(this.#lastByte, now - this.#limit + RESUME_GRACE);
    this.#watch();
  }

  protected abstract run(): Promise<void>;

  protected get connectTimeout(): number {
    return this.host.options.connectTimeout ?? CONNECT_TIMEOUT;
  }

  protected fail(error: SSEError): void {
    if (!this.live) return;
    this.end();
    this.host.lost(this, error);
  }

  /** From now on silence of this length is the end. Every byte begins it anew, which costs one assignment. */
  protected arm(limit: number): void {
    this.#limit = limit;
    this.#lastByte = this.#timer.now();
    this.#watch();
  }

  /** Sends the request. `undefined`: the attempt was ended meanwhile, and nothing is left of it. */
  protected async request(accept: string, query: Record<string, string | undefined>): Promise<Response | undefined> {
    const { host } = this;
    const { signal } = this.#controller;
    const request = await buildRequest(host.options, { signal, refresh: host.refresh }, accept, host.cursor, query);
    if (!this.live) return;
    const response = await (host.options.fetch ?? fetch)(request.url, { ...request.init, signal });
    if (this.live) return response;
    response.body?.cancel().catch(ignore);
    return;
  }

  /** Reads the body until its end, or until `chunk` says false. Returns early when the attempt is ended meanwhile. */
  protected async read(response: Response, chunk: (bytes: Uint8Array) => boolean | void): Promise<void> {
    if (!response.body) return;
    const reader = (this.#reader = response.body.getReader());
    while (this.live) {
      const { done, value } = await reader.read();
      if (!this.live || done) return;
      if (!this.#verdict) this.#lastByte = this.#timer.now();
      this.heard = true;
      if (chunk(value) === false) return;
    }
  }

  /** The body as text, cut off where it is longer than `max`. */
  protected async text(response: Response, max: number): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    await this.read(response, (bytes) => {
      text += decoder.decode(bytes, { stream: true });
      return text.length <= max;
    });
    return text;
  }

  /** The error that a refusal is, with the hub's words if they come soon. */
  protected async refused(response: Response): Promise<SSEError> {
    const now = this.#timer.now();
    this.#verdict = refusal(response, "", now);
    if (!/json/.test(response.headers.get("content-type") ?? "")) return this.#verdict;
    this.arm(REFUSAL_TIMEOUT);
    const body = await this.text(response, ERROR_BODY_MAX).catch(() => "");
    return refusal(response, body, now);
  }

  #watch(): void {
    const left = this.#lastByte + this.#limit - this.#timer.now();
    if (left === Infinity) return this.#timer.clear();
    // In thirds, so that a machine that slept is noticed soon after it woke.
    const slice = Math.min(left, Math.max(this.#limit / 3, 1));
    this.#checkAt = this.#timer.now() + slice;
    this.#timer.set(slice, this.#check);
  }

  #check = (): void => {
    const now = this.#timer.now();
    if (now - this.#checkAt > RESUME_GRACE) {
      // We were suspended, and what arrived meanwhile has not been read yet: a moment's grace.
      this.#lastByte = Math.max(this.#lastByte, now - this.#limit + Math.min(RESUME_GRACE, this.#limit));
    }
    if (now - this.#lastByte < this.#limit) return this.#watch();
    this.mute = !this.opened || !this.heard;
    const what = this.opened ? "a byte" : "an answer";
    this.fail(
      this.#verdict ?? new SSEError("timeout", `waited ${this.#limit} ms for ${what}`, { retryable: true }),
    );
  };
}

/** For promises whose failure is told elsewhere: a body that is cancelled cannot fail in a way that matters. */
function ignore(): void {}
