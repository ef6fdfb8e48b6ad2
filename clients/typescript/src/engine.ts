import { createAttempt, type Attempt, type AttemptHost } from "./attempt.ts";
import { createBackoff } from "./backoff.ts";
import { readEvent } from "./data.ts";
import { createTimer, listen, type Page } from "./environment.ts";
import { SSEError, type SSEErrorKind } from "./errors.ts";
import { createHandlers } from "./handlers.ts";
import { isRepeat } from "./id.ts";
import { ledger } from "./ledger.ts";
import { CLIMB_MAX, CLIMB_MIN, FALLBACK_AFTER, HEALTHY_AFTER, POLLING_INTERVAL, RETRY_MIN } from "./limits.ts";
import { isAsleep, watchPage } from "./page.ts";
import { createQueue, type EventIterator } from "./queue.ts";
import { sessionUrl } from "./request.ts";
import type {
  ConnectionState,
  ConnectionStatus,
  DataParser,
  EventsOptions,
  OnOptions,
  SSEClientOptions,
  Unsubscribe,
} from "./types.ts";

/** What an engine keeps where applications see it. */
export interface Visible {
  status: ConnectionStatus;
  lastEventId: string;
}

/** What an application can do with a client. See `SSEClient` for what each does. */
export interface Engine {
  on(type: string, handler: (...args: any[]) => void, options?: OnOptions): Unsubscribe;
  onConnectionChange(handler: (...args: any[]) => void, options?: OnOptions): Unsubscribe;
  events(options?: EventsOptions): EventIterator;
  connect(): void;
  reconnect(): void;
  disconnect(): void;
  destroy(): void;
  close(): void;
  [Symbol.dispose](): void;
  [Symbol.asyncIterator](): EventIterator;
}

/** The keys under which those are kept who want to know of the status and of the end: no event type has a line break. */
const STATUS = "\n";
const END = "\r";

/**
 * The state machine of one client. At any instant it has an attempt, or one timer for the next attempt, or neither and
 * it is over; everything that wants an attempt only moves that timer.
 */
export function createEngine(client: Visible, options: SSEClientOptions<any>): Engine {
  const { url, signal, onComment, onError, maxRetries = Infinity } = options;
  const { pollingInterval = POLLING_INTERVAL, page = globalThis as Page } = options;
  /** Without a prototype: types come from the network. */
  const parsers: Record<string, DataParser> = Object.assign(Object.create(null), options.parsers);
  const timer = createTimer(options.clock, options.keepAlive);
  const { now } = timer;
  const backoff = createBackoff(options.retryDelay, options.maxRetryDelay, options.random);
  const handlers = createHandlers();
  /** Asked to connect and not over: the page is listened to. */
  let wanted = false;
  let destroyed = false;
  /** The page is in the back-forward cache, or on its way there or to its end. */
  let paused = false;
  /** The one request in flight. */
  let attempt: Attempt | undefined;
  /** The last answer was 401, and the application is being asked for a new token. */
  let refresh = false;
  /** An event came over this connection. */
  let progress = false;
  /** Why the hub is about to close the stream. */
  let goodbye: SSEError | undefined;
  /** Attempts in a row in which no byte of a stream came. */
  let silent = 0;
  let polling = false;
  /** The server answers long-polls, as far as we know. */
  let pollable = options.enablePollingFallback ?? !url;
  /** When to try a stream again, and how long after the last try. */
  let climbAt = 0;
  let climb = CLIMB_MIN;
  /** When the last attempt failed. */
  let lostAt = 0;
  let unwatch: Unsubscribe = () => {};

  // What is told.

  /** Something went wrong. What the application threw is never swallowed; what the status shows may be (`shown`). */
  const tell = (cause: unknown, shown?: boolean, kind: SSEErrorKind = "handler"): void => {
    try {
      if (onError) onError(cause instanceof SSEError ? cause : new SSEError(kind, `${kind}: ${cause}`, { cause }));
      else if (!shown) report(cause);
    } catch (thrown) {
      report(thrown);
    }
  };

  const guard = (call: () => void, kind?: SSEErrorKind): void => {
    try {
      call();
    } catch (thrown) {
      tell(thrown, false, kind);
    }
  };

  const set = (state: ConnectionState, error: SSEError | null = null): void => {
    if (client.status.state === state && client.status.error === error) return;
    const status = (client.status = { state, failures: backoff.failures, error });
    handlers.call(STATUS, [state, status], tell);
    // Unless one of them brought the next status about.
    if (error && client.status === status) tell(error, true);
  };

  // One attempt at a time.

  const begin = (): void => {
    timer.clear();
    if (!wanted || paused || attempt) return;
    const polls = pollable && (polling ? now() < climbAt : silent >= FALLBACK_AFTER);
    attempt = createAttempt(host, polls, polling, client.lastEventId, refresh);
    progress = false;
    goodbye = undefined;
    if (client.status.state === "open") set("reconnecting");
  };

  /** Nothing is in flight and nothing is to come. */
  const stop = (): void => {
    timer.clear();
    attempt?.end();
    attempt = undefined;
  };

  const finish = (state: "closed" | "error", error?: SSEError): void => {
    if (wanted) ledger.clients--;
    wanted = paused = polling = false;
    stop();
    unwatch();
    handlers.call(END, [state === "error" ? error : undefined], tell);
    set(state, error);
  };

  const disconnect = (): void => finish("closed");

  const polled = (events: number): void => {
    if (goodbye) return lost(attempt!, goodbye);
    attempt = undefined;
    refresh = false;
    backoff.failures = 0;
    polling = true;
    timer.set(events ? 0 : pollingInterval, begin);
    set("polling");
  };

  const lost = ({ polls, heard, begun }: Attempt, error: SSEError): void => {
    const failure = goodbye ?? error;
    const { retryable, retryAfter, kind } = failure;
    const probed = polling && !polls;
    attempt = undefined;
    lostAt = now();
    if (progress || (heard && lostAt - begun >= HEALTHY_AFTER)) backoff.failures = 0;
    if (polls) {
      // A server that does not know long-polls is not asked again.
      if (!retryable && kind !== "auth") pollable = false;
      // Neither gets through: they take turns until one does.
      polling = false;
      silent = FALLBACK_AFTER - 1;
    } else if (heard) {
      silent = 0;
    } else {
      silent++;
      if (probed) climb = Math.min(climb * 2, CLIMB_MAX);
      // Where streams were refused, not kept back, the way may be free as soon as anything gets through.
      climbAt = probed || kind === "timeout" ? lostAt + climb : 0;
    }
    // Asking again can bring other credentials, if there is anybody to ask.
    if (failure.status === 401 && !refresh && /function/.test(typeof options.token + typeof options.headers)) refresh = true;
    else if (kind === "goodbye" && !retryable) return finish("closed", failure);
    else if (!retryable && !(polls && /http|protocol/.test(kind))) return finish("error", failure);
    else if (backoff.failures >= maxRetries)
      return finish("error", new SSEError("exhausted", `gave up: ${failure.message}`, { cause: failure }));
    const delay = backoff.next(retryAfter);
    // While nobody looks: the first attempt as always, later ones as rarely as they ever come.
    const rare = backoff.failures > 1 && isAsleep(page) ? backoff.max : 0;
    timer.set(probed ? 0 : delay + rare, begin);
    set("reconnecting", failure);
  };

  /** Other servers may count as they like. */
  const repeats = (id: string): boolean => !url && isRepeat(id, client.lastEventId);

  const host: AttemptHost = {
    options,
    opened() {
      refresh = polling = false;
      climb = CLIMB_MIN;
      set("open");
    },
    onEvent(type, text, id, own) {
      const goes = type === "error";
      // Doubled by a server that replays more than it was asked for. A gap may lead back: its id was never given out.
      if (own && !goes && type !== "gap" && repeats(id)) return;
      client.lastEventId = id;
      progress ||= !goes;
      guard(() => {
        if (!goes && !handlers.has(type) && !handlers.has("*")) return;
        const event = readEvent(type, text, id, parsers[type]);
        const { code, error } = event.data ?? {};
        // The hub says why it is about to close the stream. An `error` of another server is an event like any other.
        if (goes && code) goodbye = new SSEError("goodbye", error, { code, retryable: code !== "SESSION_ENDED" });
        for (const key of new Set([type, "*"])) handlers.call(key, [event.data, event], tell);
      }, "parse");
    },
    onId(id) {
      if (!repeats(id)) client.lastEventId = id;
    },
    onRetry: backoff.retry,
    onComment: onComment && ((text) => guard(() => onComment(text))),
    polled,
    stopped: disconnect,
    lost,
  };

  // What applications do.

  const on: Engine["on"] = (type, handler, onOptions) =>
    destroyed ? () => {} : handlers.add(type, handler, onOptions);

  const connect = (): void => {
    if (destroyed) throw new Error("destroyed");
    if (wanted) return;
    wanted = true;
    ledger.clients++;
    silent = backoff.failures = 0;
    refresh = false;
    unwatch = watchPage(page, wake, () => {
      paused = true;
      stop();
      set("reconnecting");
    });
    set("connecting");
    begin();
  };

  const reconnect = (): void => {
    if (!wanted) return connect();
    backoff.failures = climbAt = 0;
    stop();
    begin();
  };

  /** It moves the one deadline nearer, never away, or makes a stream prove itself. */
  const wake = (): void => {
    if (attempt) attempt.wake();
    else if (paused) {
      paused = false;
      begin();
    } else if (!client.status.error?.retryAfter) timer.set(lostAt + RETRY_MIN - now(), begin);
  };

  const destroy = (): void => {
    if (destroyed) return;
    destroyed = true;
    disconnect();
    handlers.clear();
    unsignal();
  };

  void (url ?? sessionUrl(options));
  const unsignal = listen(signal, "abort", destroy);
  if (signal?.aborted) destroy();
  const events: Engine["events"] = (eventsOptions = {}) => {
    const loop = createQueue(eventsOptions, (push, end) => [
      on(eventsOptions.type ?? "*", (_, event) => push(event)),
      on(END, end),
    ]);
    if (destroyed) void loop.return();
    else if (!eventsOptions.signal?.aborted) connect();
    return loop;
  };

  return {
    on,
    // None is told an old status after a newer one that another brought about.
    onConnectionChange: (handler, onOptions) =>
      on(STATUS, (state, status) => client.status === status && handler(state, status), onOptions),
    events,
    [Symbol.asyncIterator]: () => events(),
    connect,
    reconnect,
    disconnect,
    destroy,
    close: destroy,
    [Symbol.dispose]: destroy,
  };
}

/** Nobody else to tell. */
function report(thrown: unknown): void {
  (globalThis.reportError ?? console.error)(thrown);
}
