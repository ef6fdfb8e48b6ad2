import type { SSEClient } from "./client.ts";
import type { Clock, Page } from "./environment.ts";
import type { SSEError } from "./errors.ts";

/** Event types and what their data is, once it is parsed. Without one, a type is any word and its data is `unknown`. */
export interface EventMap {
  [type: string]: unknown;
}

/**
 * Why events are missing. A hub that is newer than this client may know more reasons.
 *
 * | reason | what happened |
 * |---|---|
 * | `expired` | their time to live ended |
 * | `evicted` | the history had no room for them |
 * | `lagged` | this reader was too far behind |
 * | `epoch` | the session began anew |
 * | `unknown_id` | the id to resume from was never given out |
 * | `source` | what feeds the session was cut off, or could not keep up: they are missing for all readers alike |
 * | `overflow` | an `events()` loop could not keep up; from this client, not from the hub |
 */
export type GapReason = "expired" | "evicted" | "lagged" | "epoch" | "unknown_id" | "source" | "overflow" | (string & {});

/** A hole in the stream, in the place where it is; it comes as an event of type `gap`. */
export interface Gap {
  /**
   * The first missing event; with the reasons `epoch` and `unknown_id` the id that was asked for, if it was one; with `source` the
   * gap's own id.
   */
  from: string | null;
  /** The last missing event, or the position before what follows: resuming from it repeats nothing. */
  to: string | null;
  /** How many events are missing, if it is known. */
  missed: number | null;
  /** Why. */
  reason: GapReason;
}

/** An event as it came. */
export interface SSEEvent<T = unknown> {
  /** `message` if the publisher named none. */
  readonly type: string;
  /** What the parser or schema for the type made of it; else the JSON value, where it is JSON; else the text. */
  readonly data: T;
  /** The data as it came, its lines joined with LF. */
  readonly text: string;
  /** The last event id: opaque, and what a later client can resume from. */
  readonly id: string;
  /**
   * With the option `origin`: whether a publish of this origin caused it. A promise where a publish is under way whose ids are
   * not known yet: `if (await event.own) return;` drops the echo in either case.
   */
  readonly own?: boolean | Promise<boolean>;
}

/** Knows whose events are whose: `Origin` of `watertight/publish` is one. */
export interface EventOrigin {
  /** Whether it caused the event with this id; a promise where that is not known yet. */
  owns(id: string): boolean | Promise<boolean>;
}

/**
 * What the option `debug` is told. `client` can be asked for the rest: `status`, `lastEventId`, `options`.
 *
 * | type | |
 * |---|---|
 * | `status` | another status |
 * | `attempt` | a request begins; `cursor` is the id to resume after, `refresh` says that a fresh token is asked for |
 * | `wait` | the next attempt begins in so many milliseconds, unless something hastens it |
 * | `event` | an event was delivered, gaps and closing events included |
 * | `destroyed` | the last record of a client |
 */
export type DebugRecord = { readonly client: SSEClient } & DebugDetails;

/** A {@link DebugRecord} without its client. */
export type DebugDetails =
  | { readonly type: "status"; readonly status: ConnectionStatus }
  | { readonly type: "attempt"; readonly way: "stream" | "poll"; readonly cursor: string; readonly refresh: boolean }
  | { readonly type: "wait"; readonly milliseconds: number }
  | { readonly type: "event"; readonly event: string; readonly id: string; readonly text: string }
  | { readonly type: "destroyed" };

/** The event types that `on` takes: the declared ones, `gap`, the hub's `error`, and `*` for all. */
export type EventType<Events extends object> = (keyof Events & string) | "gap" | "error" | "*";

/** The data of an event type. */
export type EventData<Events extends object, K> = K extends "*"
  ? unknown
  : K extends "gap"
    ? Gap
    : K extends keyof Events
      ? Events[K]
      : unknown;

/**
 * Called for each event, with its data and the whole of it. What it throws is reported and disturbs nobody. What an async
 * one rejects with is its own to catch.
 */
export type EventHandler<T = unknown> = (data: T, event: SSEEvent<T>) => void;

/** Takes a handler back. Calling it twice does nothing. */
export type Unsubscribe = () => void;

/**
 * | state | |
 * |---|---|
 * | `idle` | not asked to connect yet |
 * | `connecting` | the first attempt |
 * | `open` | the stream is there |
 * | `polling` | no stream to be had; long-polls bring the events, and the stream is tried again from time to time |
 * | `reconnecting` | no connection; another attempt comes by itself |
 * | `closed` | over: `disconnect`, `destroy`, or the server said that nothing more will come |
 * | `error` | over: something that no attempt can mend; see `error`. `connect` tries anew |
 */
export type ConnectionState =
  | "idle"
  | "connecting"
  | "open"
  | "polling"
  | "reconnecting"
  | "closed"
  | "error";

/**
 * Why a connection is `closed`: an end, not an error.
 *
 * | reason | |
 * |---|---|
 * | `disconnected` | `disconnect` or `destroy` was called |
 * | `session-ended` | the hub said that the session is over |
 * | `ended` | the server's answer ended, and `onEnd` is `stop` |
 * | `no-content` | the server answered 204 |
 */
export type CloseReason = "disconnected" | "session-ended" | "ended" | "no-content";

/** A snapshot of a connection. A new object whenever something in it changes, and only then. */
export interface ConnectionStatus {
  readonly state: ConnectionState;
  /** Failures in a row, when the state last changed. */
  readonly failures: number;
  /** Why the last attempt failed, or the connection is over for good; `null` while all is well, and after an end. */
  readonly error: SSEError | null;
  /** Why it is `closed`; `null` in any other state. */
  readonly reason: CloseReason | null;
}

/** What an option that is a function is told, before each attempt. */
export interface AttemptContext {
  /** Ends with the attempt. */
  readonly signal: AbortSignal;
  /** What was sent last time is over (401, or the hub closed the stream with `TOKEN_EXPIRED`): get a new token, not a cached one. */
  readonly refresh: boolean;
}

/** Headers, in whatever shape: a record, pairs, or a `Headers`. */
export type HeadersSource = Readonly<Record<string, string>> | Iterable<readonly [string, string] | string[]>;

/** A value, or a function that is asked for it before each attempt. */
export type PerAttempt<T> = T | ((context: AttemptContext) => T | Promise<T>);

/** A schema as https://standardschema.dev has it, as far as it is used here: Zod, Valibot, ArkType and others. */
export interface StandardSchema<T = unknown> {
  readonly "~standard": {
    /** What the schema makes of a value. One that is asynchronous is refused. */
    readonly validate: (value: unknown) => StandardResult<T> | Promise<StandardResult<T>>;
    readonly types?: { readonly input: unknown; readonly output: T } | undefined;
  };
}

/** What a {@link StandardSchema} says of a value. */
export type StandardResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] };

/**
 * How the data of a type is read: a function of the text, or a schema (a standard one, or anything with `parse`) that is
 * given the JSON value.
 */
export type DataParser<T = unknown> =
  | ((text: string) => T)
  | {
      /** What the schema makes of a value. What it throws goes to `onError`. */
      parse(value: unknown): T;
    }
  | StandardSchema<T>;

/** Settings of an {@link SSEClient}. Give `sessionId` (and `baseUrl`), or `url`. */
export interface SSEClientOptions<Events extends object = EventMap> {
  /** Where the hub is: `https://events.example.com`. Default: the page's own origin. */
  baseUrl?: string | undefined;
  /** The session to watch. */
  sessionId?: string | undefined;
  /** Any event stream, instead of a session of a hub. */
  url?: PerAttempt<string | URL> | undefined;

  /**
   * Sent as `Authorization: Bearer`. A function is asked before each attempt, with `refresh` after a `TOKEN_EXPIRED` of the hub;
   * and once more, with `refresh`, within an attempt that gets 401. A second 401 in a row is final, as is any to a string.
   */
  token?: PerAttempt<string | null | undefined> | undefined;
  /** More headers. `Accept` of a stream may be among them. */
  headers?: PerAttempt<HeadersSource | undefined> | undefined;
  /** Default `GET`. */
  method?: string | undefined;
  /**
   * When the server ends its answer as HTTP has it: whether to ask again. Default: `stop` where `method` is not GET and no hub
   * answered (a language model's reply is over when it is over), else `reconnect`.
   */
  onEnd?: "reconnect" | "stop" | undefined;
  /** Sent with each attempt, if `method` is one that has a body. */
  body?: PerAttempt<string | undefined> | undefined;
  /** Default `same-origin`, as of `fetch`. */
  credentials?: "omit" | "same-origin" | "include" | undefined;

  /** Resume after the event with this id. */
  lastEventId?: string | undefined;
  /** Without an id to resume from: how much history to ask for. Default: none. */
  replay?: "all" | number | undefined;

  /** How often it tries again in a row before it gives up (state `error`, kind `exhausted`). Default: for ever. */
  maxRetries?: number | undefined;
  /** Base of the back-off until the server names one with `retry:`, milliseconds. Default 1,000. */
  retryDelay?: number | undefined;
  /** Ceiling of the back-off, milliseconds. Default 30,000. */
  maxRetryDelay?: number | undefined;
  /** Limit for token, head and first byte, milliseconds. Default 10,000. */
  connectTimeout?: number | undefined;
  /**
   * A stream silent for so long is dead, milliseconds; `Infinity` for a server without heartbeats. Default: three
   * times the `Heartbeat-Interval` that the hub names (15 s if none), at least 15 s.
   */
  readTimeout?: number | undefined;

  /** Whether to use long-polls where no stream gets through. Default: true with `sessionId`, false with `url`. */
  enablePollingFallback?: boolean | undefined;
  /** The pause after a long-poll that brought nothing, milliseconds. Default 500. */
  pollingInterval?: number | undefined;

  /** Largest event, bytes: its data, type and id. A larger one ends the client with an error of kind `limit`. Default 1 MiB. */
  maxEventBytes?: number | undefined;
  /** How the data of each type is read, where JSON or text will not do. */
  parsers?: { [K in keyof Events]?: DataParser<Events[K]> } | undefined;

  /** Told of everything that goes wrong; without it, what handlers and parsers throw goes to `reportError`. */
  onError?: ((error: SSEError) => void) | undefined;
  /** Told of every comment in the stream, heartbeats included (their text is empty). */
  onComment?: ((text: string) => void) | undefined;

  /** Told of everything that happens, in order, as it happens; for `watertight/devtools` and the like. */
  debug?: ((record: DebugRecord) => void) | undefined;
  /** Marks each event as this page's own or not (`event.own`): an `Origin` of `watertight/publish`. */
  origin?: EventOrigin | undefined;

  /** Destroys the client when it is aborted; one that is aborted already never connects. */
  signal?: AbortSignal | undefined;
  /** In Node.js: whether waiting for the next attempt keeps the process alive. Default true. */
  keepAlive?: boolean | undefined;
  /** Instead of the global `fetch`: another transport, or `shareTabs()` of `watertight/tabs`. */
  fetch?: typeof fetch | undefined;
  /** Instead of the global timers and `Date.now`. */
  clock?: Clock | undefined;
  /** Instead of `Math.random`, for the jitter. */
  random?: (() => number) | undefined;
  /** Instead of the global object, for `online`, `pagehide`, `visibilitychange` and the like. */
  page?: Page | undefined;
}

/** Settings of one `on`. */
export interface OnOptions {
  /** Takes the handler back when it is aborted. */
  signal?: AbortSignal | undefined;
  /** Takes it back after the first event. */
  once?: boolean | undefined;
}

/** Settings of one `events()` loop. */
export interface EventsOptions {
  /** Only events of this type. Default: all. */
  type?: string | undefined;
  /** Ends the loop when it is aborted. */
  signal?: AbortSignal | undefined;
  /**
   * How many events the loop may be behind. What comes beyond that is dropped, and a `gap` event with reason `overflow`
   * stands where it is missing. Default 1,000.
   */
  highWaterMark?: number | undefined;
}
