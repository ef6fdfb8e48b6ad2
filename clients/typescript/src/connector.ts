import { beginAttempt, type Attempt, type AttemptHost, type Outcome } from "./attempt.ts";
import type { Cursor } from "./cursor.ts";
import type { Delivery } from "./delivery.ts";
import { createTime, type Page } from "./environment.ts";
import type { SSEError } from "./errors.ts";
import { createFallback, STREAM } from "./fallback.ts";
import { ledger } from "./ledger.ts";
import { POLLING_INTERVAL, POLL_WAIT, RECONNECT_MIN } from "./limits.ts";
import { isAsleep, watchPage } from "./page.ts";
import { createSchedule } from "./schedule.ts";
import { IDLE } from "./status.ts";
import type { CloseReason, ConnectionState, ConnectionStatus, SSEClientOptions, Unsubscribe } from "./types.ts";
import { judge } from "./verdict.ts";

/**
 * From `connect` to the end: at any instant one attempt, or one deadline for the next one, or neither and it is over.
 * Whatever wants an attempt (the network is back, the page is shown, `reconnect`) only moves that deadline.
 */
export interface Connector {
  /** The same object until something in it changes. */
  readonly status: ConnectionStatus;
  /** Asked to connect and not over: the page is listened to. */
  readonly isWanted: boolean;
  connect(): void;
  /**
   * A new connection at once, instead of the one that is wanted; but where nothing came since the last call, not more often
   * than once a second.
   */
  reconnect(): void;
  /** The end, from whichever side: why it is closed, or what went wrong. */
  finish(reason?: CloseReason, error?: SSEError): void;
}

export function createConnector(options: SSEClientOptions<any>, cursor: Cursor, delivery: Delivery): Connector {
  const page: Page = options.page ?? (globalThis as Page);
  const time = createTime(options.clock, options.keepAlive);
  const schedule = createSchedule(time, options, () => begin());
  const { backoff } = schedule;
  let status = IDLE;
  let isWanted = false;
  /** What is known of streams and long-polls; anew with each `connect`. */
  let fallback = createFallback(options);
  let attempt: Attempt | undefined;
  /** The page is in the back-forward cache, or on its way there or to its end. */
  let isPaused = false;
  /** The hub said that the token has expired: the next attempt asks for another one. */
  let isTokenExpired = false;
  let reconnectedAt = -Infinity;
  let stopWatching: Unsubscribe | undefined;

  const change = (state: ConnectionState, error: SSEError | null = null, reason: CloseReason | null = null): void => {
    const before = status;
    const next: ConnectionStatus = { state, failures: backoff.failures, error, reason };
    const keys = Object.keys(next) as (keyof ConnectionStatus)[];
    if (keys.every((key) => next[key] === before[key])) return;
    status = next;
    delivery.changed(next);
  };

  /** Nothing is in flight and nothing is to come. */
  const stop = (): void => {
    schedule.clear();
    attempt?.end();
    attempt = undefined;
  };

  const finish = (reason?: CloseReason, error?: SSEError): void => {
    if (isWanted) ledger.clients--;
    isWanted = isPaused = false;
    stop();
    stopWatching?.();
    delivery.ended(error);
    // Why it ended is said once.
    if (status.state !== "closed") change(error ? "error" : "closed", error, reason);
  };

  /** One attempt at a time. */
  const begin = (): void => {
    schedule.clear();
    if (!isWanted || isPaused || attempt) return;
    const { way } = fallback;
    // The first long-poll is to be answered at once: it tells that this way works, and its position is what nothing is lost behind.
    const wait = fallback.isPolling ? POLL_WAIT : 0;
    attempt = beginAttempt(host, { way, wait, refresh: isTokenExpired });
    isTokenExpired = false;
    // While a stream is tried again, no long-poll brings anything.
    if (status.state === "open" || (status.state === "polling" && way === "stream")) change("reconnecting");
  };

  /** The page moves the one deadline nearer, never away, or makes a stream prove itself. */
  const wake = (): void => {
    if (attempt) return attempt.wake();
    isPaused = false;
    schedule.hasten();
  };

  const pause = (): void => {
    isPaused = true;
    stop();
    change("reconnecting");
  };

  /** What an attempt tells. */
  const host: AttemptHost = {
    options,
    time,
    cursor,
    delivery,
    opened: () => change("open"),
    onRetry(milliseconds) {
      backoff.retry = milliseconds;
    },
    progressed() {
      reconnectedAt = -Infinity;
      backoff.failures = 0;
      if (status.state === "open") change("open");
    },
    ended(outcome: Outcome) {
      const { way, reason, failure, isHealthy } = outcome;
      attempt = undefined;
      if (isHealthy || !failure) backoff.failures = 0;
      if (reason) return finish(reason);
      const { failures } = backoff;
      const end = failure && judge(failure, way, failures, options.maxRetries);
      if (end) return finish(undefined, end);
      isTokenExpired = failure?.code === "TOKEN_EXPIRED";
      if (fallback.after(outcome, time.now()).isAtOnce) {
        // Long-polls work. Only what is new, or that no stream came yet, hurries the next one: a cache may answer with the same
        // events for ever.
        schedule.wait(failure || isHealthy ? 0 : (options.pollingInterval ?? POLLING_INTERVAL));
        return change("polling");
      }
      // While nobody looks: the first attempt as always, later ones as rarely as they ever come.
      const rarely = failures > 0 && isAsleep(page) ? backoff.max() : 0;
      const milliseconds = schedule.again(failure?.retryAfter, rarely);
      delivery.debug({ type: "wait", milliseconds });
      change("reconnecting", failure);
    },
  };

  return {
    get status() {
      return status;
    },
    get isWanted() {
      return isWanted;
    },
    finish,
    connect() {
      if (isWanted) return;
      isWanted = true;
      ledger.clients++;
      fallback = createFallback(options);
      schedule.reset();
      stopWatching = watchPage(page, wake, pause);
      change("connecting");
      begin();
    },
    reconnect() {
      const now = time.now();
      // One that is waited for already is not put off.
      if (reconnectedAt <= now) reconnectedAt = Math.max(reconnectedAt + RECONNECT_MIN, now);
      stop();
      schedule.reset(reconnectedAt);
      fallback.next = STREAM;
      schedule.hasten();
      if (!attempt && status.state !== "connecting") change("reconnecting");
    },
  };
}
