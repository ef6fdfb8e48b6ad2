import { parse } from "./answer.ts";
import { Attempt, type AttemptHost } from "./attempt.ts";
import type { Cursor } from "./cursor.ts";
import { Time, type Page } from "./environment.ts";
import { SSEError } from "./errors.ts";
import { Fallback, STREAM, type Next } from "./fallback.ts";
import { ledger } from "./ledger.ts";
import { POLLING_INTERVAL, POLL_WAIT, RECONNECT_MIN } from "./limits.ts";
import { isAsleep, watchPage } from "./page.ts";
import { Schedule } from "./schedule.ts";
import { IDLE } from "./status.ts";
import type { CloseReason, ConnectionState, ConnectionStatus, DebugDetails, SSEClientOptions } from "./types.ts";
import { judge } from "./verdict.ts";

/** What a connector tells its client. */
export interface ConnectorHost {
  /** There is another status. */
  changed(status: ConnectionStatus): void;
  /** An event is to be delivered. */
  deliver(type: string, text: string, id: string): void;
  comment: (text: string) => void;
  debug(details: DebugDetails): void;
  /** Over, once for each `connect`: by itself or because the client said so. */
  ended(error?: SSEError): void;
}

/** The hub's code after which nothing more comes, whoever asks. */
const SESSION_ENDED = "SESSION_ENDED";

/**
 * From `connect` to the end: at any instant one attempt, or one deadline for the next one, or neither and it is over.
 * Whatever wants an attempt (the network is back, the page is shown, `reconnect`) only moves that deadline.
 */
export class Connector implements AttemptHost {
  readonly options: SSEClientOptions<any>;
  readonly cursor: Cursor;
  readonly time: Time;
  /** The same object until something in it changes. */
  status = IDLE;
  readonly #host: ConnectorHost;
  readonly #schedule: Schedule;
  /** What is known of streams and long-polls; anew with each `connect`. */
  #fallback = new Fallback();
  #next = STREAM;
  #attempt: Attempt | undefined;
  /** Asked to connect and not over: the page is listened to. */
  #isWanted = false;
  /** The page is in the back-forward cache, or on its way there or to its end. */
  #isPaused = false;
  /** The last answer was 401, and the application is being asked for new credentials. */
  #isRefresh = false;
  /** An event came over this connection. */
  #hasProgress = false;
  /** Why the hub is about to close the stream. */
  #closingEvent: SSEError | undefined;
  #reconnectedAt = -Infinity;
  #stopWatching = (): void => {};

  constructor(options: SSEClientOptions<any>, cursor: Cursor, host: ConnectorHost) {
    this.options = options;
    this.cursor = cursor;
    this.#host = host;
    this.time = new Time(options.clock, options.keepAlive);
    this.#schedule = new Schedule(this.time, options, () => this.#begin());
  }

  get isWanted(): boolean {
    return this.#isWanted;
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#schedule.backoff.failures;
  }

  connect(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    ledger.clients++;
    this.#isRefresh = false;
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
    this.#forgetFailures();
    if (this.#reconnectedAt <= now) return this.#begin();
    this.#schedule.wait(this.#reconnectedAt - now);
    if (this.status.state !== "connecting") this.#change("reconnecting");
  }

  /** The end, from whichever side: why it is closed, or what went wrong. */
  finish(end: CloseReason | SSEError): void {
    const error = typeof end === "string" ? undefined : end;
    if (this.#isWanted) ledger.clients--;
    this.#isWanted = this.#isPaused = false;
    this.#stop();
    this.#stopWatching();
    this.#host.ended(error);
    // Why it ended is said once.
    if (this.status.state === "closed") return;
    if (typeof end === "string") this.#change("closed", null, end);
    else this.#change("error", end);
  }

  get #page(): Page {
    return this.options.page ?? (globalThis as Page);
  }

  #forgetFailures(): void {
    this.#schedule.reset();
    this.#next = STREAM;
  }

  #change(state: ConnectionState, error: SSEError | null = null, reason: CloseReason | null = null): void {
    const before = this.status;
    const status: ConnectionStatus = { state, failures: this.failures, error, reason };
    const keys = Object.keys(status) as (keyof ConnectionStatus)[];
    if (keys.every((key) => status[key] === before[key])) return;
    this.status = status;
    this.#host.changed(status);
  }

  // One attempt at a time.

  #begin(): void {
    this.#schedule.clear();
    if (!this.#isWanted || this.#isPaused || this.#attempt) return;
    this.#fallback.isEnabled = this.options.enablePollingFallback ?? this.options.url === undefined;
    const way = this.#fallback.isEnabled ? this.#next.way : "stream";
    // The first long-poll is to be answered at once: it tells that this way works, and its position is what nothing is lost behind.
    const wait = this.#fallback.isPolling ? POLL_WAIT : 0;
    const refresh = this.#isRefresh;
    this.#attempt = new Attempt(this, { way, wait, refresh });
    this.#hasProgress = false;
    this.#closingEvent = undefined;
    this.#host.debug({ type: "attempt", way, refresh, cursor: this.cursor.resume });
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
    this.#isRefresh = false;
    this.#change("open");
  }

  onEvent(type: string, text: string, id: string, own: boolean): void {
    const attempt = this.#attempt;
    if (!attempt) return;
    const isHubError = attempt.isHub && type === "error";
    // Doubled by a server that replays more than it was asked for; other servers than hubs may count as they like. A gap may
    // lead back: its id was never given out.
    if (own && attempt.isHub && !isHubError && type !== "gap" && this.cursor.isRepeat(id)) return;
    this.cursor.jump(id);
    if (isHubError) this.#closingEvent = readClosingEvent(text);
    else if (!this.#hasProgress) this.#progressed();
    this.#host.deliver(type, text, id);
  }

  onId(id: string): void {
    this.cursor.pass(id);
  }

  onRetry(milliseconds: number): void {
    this.#schedule.backoff.retry = milliseconds;
  }

  get onComment(): ((text: string) => void) | undefined {
    return this.options.onComment && this.#host.comment;
  }

  stopped(): void {
    this.finish("no-content");
  }

  #progressed(): void {
    this.#hasProgress = true;
    this.#reconnectedAt = -Infinity;
    if (!this.failures) return;
    this.#schedule.backoff.failures = 0;
    if (this.status.state === "open") this.#change("open");
  }

  polled(attempt: Attempt): void {
    if (this.#closingEvent) return this.failed(attempt, this.#closingEvent);
    this.#attempt = undefined;
    this.#isRefresh = false;
    this.#schedule.backoff.failures = 0;
    this.#next = this.#fallback.pollAnswered(this.time.now());
    // Only what is new hurries the next one: a cache may answer with the same events for ever.
    this.#schedule.wait(this.#hasProgress ? 0 : (this.options.pollingInterval ?? POLLING_INTERVAL));
    this.#change("polling");
  }

  failed(attempt: Attempt, error: SSEError): void {
    this.#attempt = undefined;
    // What ends a client for good is not mended by what the hub said before.
    const failure = error.retryable ? (this.#closingEvent ?? error) : error;
    if (this.#hasProgress || attempt.wasWell) this.#schedule.backoff.failures = 0;
    if (failure === this.#closingEvent && failure.code === SESSION_ENDED) return this.finish("session-ended");
    if (attempt.hasEndedCleanly && !this.#closingEvent && this.#isLastAnswer(attempt)) return this.finish("ended");
    const wasProbe = this.#fallback.isPolling && attempt.way === "stream";
    this.#next = this.#decide(attempt, failure);
    const verdict = judge({
      ...failure,
      way: attempt.way,
      canRefresh: !this.#isRefresh && this.#canRefresh,
      failures: this.failures,
      maxRetries: this.options.maxRetries ?? Infinity,
    });
    if (verdict === "failed") return this.finish(failure);
    if (verdict === "exhausted") {
      return this.finish(new SSEError("exhausted", `gave up: ${failure.message}`, { cause: failure }));
    }
    if (verdict === "refresh") this.#isRefresh = true;
    if (wasProbe && this.#next.isAtOnce) {
      this.#schedule.wait(0);
      return this.#change("polling");
    }
    // While nobody looks: the first attempt as always, later ones as rarely as they ever come.
    const rarely = this.failures > 0 && isAsleep(this.#page) ? this.#schedule.backoff.max : 0;
    const milliseconds = this.#schedule.retry(failure.retryAfter, rarely);
    this.#host.debug({ type: "wait", milliseconds });
    this.#change("reconnecting", failure);
  }

  #decide(attempt: Attempt, failure: SSEError): Next {
    const now = this.time.now();
    const isSilence = failure.kind === "timeout";
    if (attempt.way === "poll") {
      const isUnderstood = failure.retryable || failure.kind === "auth" || failure === this.#closingEvent;
      return isUnderstood ? this.#fallback.pollFailed() : this.#fallback.pollNotUnderstood(now);
    }
    // First bytes and then silence are no stream: somebody on the way keeps the rest.
    if (attempt.wasWell || (attempt.hasReceivedBytes && !isSilence)) return this.#fallback.streamWorked();
    return this.#fallback.streamFailed({ isHeldBack: isSilence, hasRetryAfter: !!failure.retryAfter }, now);
  }

  /** Whether there is a function that may give other credentials when it is asked again. */
  get #canRefresh(): boolean {
    const { token, headers, url, body } = this.options;
    return [token, headers, url, body].some((option) => typeof option === "function");
  }

  /** Whether the server's answer is over when it ends: that of anything but a GET, unless a hub gave it. */
  #isLastAnswer({ isHub }: Attempt): boolean {
    const { onEnd, method = "GET" } = this.options;
    return onEnd ? onEnd === "stop" : !isHub && method.toUpperCase() !== "GET";
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

/** Why a hub is about to close the stream, if it gave a code: without one it is an event like any other. */
function readClosingEvent(text: string): SSEError | undefined {
  const { code, error } = parse<{ code: string; error: string }>(text);
  return code ? new SSEError("closing", error ?? code, { code }) : undefined;
}
