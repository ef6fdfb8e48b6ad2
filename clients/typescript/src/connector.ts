import { beginAttempt, type Attempt, type AttemptHost, type Outcome } from "./attempt.ts";
import type { Backoff } from "./backoff.ts";
import type { Cursor } from "./cursor.ts";
import type { Delivery } from "./delivery.ts";
import { createTime, type Page, type Time } from "./environment.ts";
import type { SSEError } from "./errors.ts";
import { Fallback, STREAM, type Way } from "./fallback.ts";
import { ledger } from "./ledger.ts";
import { POLLING_INTERVAL, POLL_WAIT, RECONNECT_MIN } from "./limits.ts";
import { isAsleep, watchPage } from "./page.ts";
import { createSchedule, type Schedule } from "./schedule.ts";
import { IDLE } from "./status.ts";
import type { CloseReason, ConnectionState, ConnectionStatus, SSEClientOptions } from "./types.ts";
import { judge } from "./verdict.ts";

/**
 * From `connect` to the end: at any instant one attempt, or one deadline for the next one, or neither and it is over.
 * Whatever wants an attempt (the network is back, the page is shown, `reconnect`) only moves that deadline.
 */
export class Connector implements AttemptHost {
  readonly options: SSEClientOptions<any>;
  readonly cursor: Cursor;
  readonly delivery: Delivery;
  readonly time: Time;
  /** The same object until something in it changes. */
  status = IDLE;
  /** Asked to connect and not over: the page is listened to. */
  isWanted = false;
  readonly #schedule: Schedule;
  readonly #backoff: Backoff;
  readonly #page: Page;
  /** What is known of streams and long-polls; anew with each `connect`. */
  #fallback = new Fallback();
  #attempt: Attempt | undefined;
  /** The page is in the back-forward cache, or on its way there or to its end. */
  #isPaused = false;
  /** The hub said that the token has expired: the next attempt asks for another one. */
  #isTokenExpired = false;
  #reconnectedAt = -Infinity;
  #stopWatching = (): void => {};

  constructor(options: SSEClientOptions<any>, cursor: Cursor, delivery: Delivery) {
    this.options = options;
    this.cursor = cursor;
    this.delivery = delivery;
    this.#page = options.page ?? (globalThis as Page);
    this.time = createTime(options.clock, options.keepAlive);
    this.#schedule = createSchedule(this.time, options, () => this.#begin());
    this.#backoff = this.#schedule.backoff;
  }

  connect(): void {
    if (this.isWanted) return;
    this.isWanted = true;
    ledger.clients++;
    this.#fallback = new Fallback();
    this.#forgetFailures();
    this.#stopWatching = watchPage(this.#page, () => this.#wake(), () => this.#pause());
    this.#change("connecting");
    this.#begin();
  }

  /**
   * A new connection at once, instead of the one that is wanted; but where nothing came since the last call, not more often
   * than once a second.
   */
  reconnect(): void {
    const now = this.time.now();
    // One that is waited for already is not put off.
    if (this.#reconnectedAt <= now) this.#reconnectedAt = Math.max(this.#reconnectedAt + RECONNECT_MIN, now);
    this.#stop();
    this.#forgetFailures(this.#reconnectedAt);
    this.#schedule.hasten();
    if (!this.#attempt && this.status.state !== "connecting") this.#change("reconnecting");
  }

  /** The end, from whichever side: why it is closed, or what went wrong. */
  finish(reason: CloseReason | null, error: SSEError | null = null): void {
    if (this.isWanted) ledger.clients--;
    this.isWanted = this.#isPaused = false;
    this.#stop();
    this.#stopWatching();
    this.delivery.ended(error);
    // Why it ended is said once.
    if (this.status.state !== "closed") this.#change(error ? "error" : "closed", error, reason);
  }

  #forgetFailures(earliest?: number): void {
    this.#schedule.reset(earliest);
    this.#fallback.next = STREAM;
  }

  #change(state: ConnectionState, error: SSEError | null = null, reason: CloseReason | null = null): void {
    const before = this.status;
    const status: ConnectionStatus = { state, failures: this.#backoff.failures, error, reason };
    const keys = Object.keys(status) as (keyof ConnectionStatus)[];
    if (keys.every((key) => status[key] === before[key])) return;
    this.status = status;
    this.delivery.changed(status);
  }

  // One attempt at a time.

  #begin(): void {
    this.#schedule.clear();
    if (!this.isWanted || this.#isPaused || this.#attempt) return;
    this.#fallback.isEnabled = this.options.enablePollingFallback ?? this.options.url === undefined;
    const way = this.#fallback.isEnabled ? this.#fallback.next.way : "stream";
    // The first long-poll is to be answered at once: it tells that this way works, and its position is what nothing is lost behind.
    const wait = this.#fallback.isPolling ? POLL_WAIT : 0;
    this.#attempt = beginAttempt(this, { way, wait, refresh: this.#isTokenExpired });
    this.#isTokenExpired = false;
    // While a stream is tried again, no long-poll brings anything.
    if (this.status.state === "open" || (this.status.state === "polling" && way === "stream")) this.#change("reconnecting");
  }

  /** Nothing is in flight and nothing is to come. */
  #stop(): void {
    this.#schedule.clear();
    this.#attempt?.end();
    this.#attempt = undefined;
  }

  // What an attempt tells.

  opened(): void {
    this.#change("open");
  }

  onRetry(milliseconds: number): void {
    this.#backoff.retry = milliseconds;
  }

  progressed(): void {
    this.#reconnectedAt = -Infinity;
    this.#backoff.failures = 0;
    if (this.status.state === "open") this.#change("open");
  }

  ended({ way, reason, failure, isHealthy, hasStreamed }: Outcome): void {
    this.#attempt = undefined;
    if (isHealthy || !failure) this.#backoff.failures = 0;
    if (reason) return this.finish(reason);
    if (!failure) return this.#polled(isHealthy);
    const { failures } = this.#backoff;
    const end = judge(failure, way, failures, this.options.maxRetries);
    if (end) return this.finish(null, end);
    this.#decide(way, failure, hasStreamed);
    this.#isTokenExpired = failure.code === "TOKEN_EXPIRED";
    // No stream yet, and long-polls work.
    if (this.#fallback.next.isAtOnce) {
      this.#schedule.wait(0);
      return this.#change("polling");
    }
    // While nobody looks: the first attempt as always, later ones as rarely as they ever come.
    const rarely = failures > 0 && isAsleep(this.#page) ? this.#backoff.max : 0;
    const milliseconds = this.#schedule.again(failure.retryAfter, rarely);
    this.delivery.debug({ type: "wait", milliseconds });
    this.#change("reconnecting", failure);
  }

  #polled(hasNews: boolean): void {
    this.#fallback.pollAnswered(this.time.now());
    // Only what is new hurries the next one: a cache may answer with the same events for ever.
    this.#schedule.wait(hasNews ? 0 : (this.options.pollingInterval ?? POLLING_INTERVAL));
    this.#change("polling");
  }

  /** Which way to ask next, after a failure that does not end it. */
  #decide(way: Way, failure: SSEError, hasStreamed: boolean): void {
    const now = this.time.now();
    if (hasStreamed) this.#fallback.streamWorked();
    else if (way === "stream") this.#fallback.streamFailed(failure, now);
    else if (failure.retryable) this.#fallback.pollFailed();
    else this.#fallback.pollNotUnderstood(now);
  }

  // The page.

  /** It moves the one deadline nearer, never away, or makes a stream prove itself. */
  #wake(): void {
    if (this.#attempt) return this.#attempt.wake();
    this.#isPaused = false;
    this.#schedule.hasten();
  }

  #pause(): void {
    this.#isPaused = true;
    this.#stop();
    this.#change("reconnecting");
  }
}
