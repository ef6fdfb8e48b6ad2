import { createAttempt, type Attempt, type AttemptHost } from "./attempt.ts";
import { createBackoff, type Backoff } from "./backoff.ts";
import { readEvent } from "./data.ts";
import { createTimer, listen, type Page, type Timer } from "./environment.ts";
import { SSEError } from "./errors.ts";
import { createHandlers } from "./handlers.ts";
import { isRepeat } from "./id.ts";
import { ledger } from "./ledger.ts";
import { CLIMB_MAX, CLIMB_MIN, FALLBACK_AFTER, HEALTHY_AFTER, POLLING_INTERVAL, RETRY_MIN } from "./limits.ts";
import { poll } from "./poll.ts";
import { createQueue, type EventIterator } from "./queue.ts";
import { sessionUrl } from "./request.ts";
import { stream } from "./stream.ts";
import type {
  ConnectionState,
  ConnectionStatus,
  EventData,
  EventHandler,
  EventMap,
  EventsOptions,
  EventType,
  OnOptions,
  SSEClientOptions,
  SSEEvent,
  Unsubscribe,
} from "./types.ts";

/** Goodbyes after which coming back makes no sense. */
const FINAL_CODES = /^(SESSION_ENDED|FORBIDDEN)$/;

/** The keys under which those are kept who want to know of the status and of the end: no event type has a line break. */
const STATUS = "\n";
const END = "\r";

/**
 * A subscription that comes back by itself, where it left off.
 *
 * One request at a time, one timer at a time, one way out. Nothing happens before `connect`; after `disconnect` or
 * `destroy` nothing happens any more, from the moment they are called, whoever calls them.
 */
export class SSEClient<Events extends object = EventMap> implements AsyncIterable<SSEEvent>, Disposable {
  readonly options: Readonly<SSEClientOptions<Events>>;
  #status: ConnectionStatus = { state: "idle", failures: 0, error: null };
  /** Connected, or on the way: the page is listened to, and there is an attempt or a deadline for one. */
  #wanted = false;
  #destroyed = false;
  /** The one request in flight. Whatever another one says is not heard. */
  #attempt: Attempt | undefined;
  /** When the next attempt begins. Everything that wants one moves this timer; there is no second. */
  #timer: Timer;
  #backoff: Backoff;
  #cursor: string;
  /** The server asked not to come back earlier, milliseconds of the clock. */
  #notBefore = 0;
  /** The last answer was 401, and the application is being asked for a new token. */
  #refresh = false;
  /** An event came over this connection. */
  #progress = false;
  /** Why the hub is about to close the stream. */
  #goodbye: SSEError | undefined;

  /** Attempts in a row in which no byte of a stream came. */
  #silent = 0;
  #polling = false;
  /** The server answers long-polls, as far as we know. */
  #pollable: boolean;
  #climb = CLIMB_MIN;
  #climbAt = 0;

  #handlers = createHandlers();
  #unlisten: Unsubscribe[] = [];
  #unsignal: Unsubscribe;
  /** The page is in the back-forward cache, or on its way there or to its end. */
  #paused = false;
  #host: AttemptHost;

  constructor(options: SSEClientOptions<Events>) {
    const { url, signal, onComment } = options;
    this.options = options;
    if (url === undefined) sessionUrl(options);
    this.#timer = createTimer(options.clock, options.keepAlive);
    this.#backoff = createBackoff(options.retryDelay, options.maxRetryDelay, options.random);
    this.#cursor = options.lastEventId ?? "";
    this.#pollable = options.enablePollingFallback ?? url === undefined;
    this.#host = {
      options,
      comment: onComment && ((text) => this.#guard(() => onComment(text))),
      opened: () => {
        this.#refresh = this.#polling = false;
        this.#climb = CLIMB_MIN;
        this.#set("open");
      },
      event: (type, text, id, own) => this.#receive(type, text, id, own),
      position: (id) => {
        if (!isRepeat(id, this.#cursor)) this.#cursor = id;
      },
      retry: this.#backoff.retry,
      polled: (attempt, events) => this.#polled(attempt, events),
      stopped: () => this.disconnect(),
      lost: (attempt, error) => this.#lost(attempt, error),
    };
    this.#unsignal = listen(signal, "abort", () => this.destroy());
    if (signal?.aborted) this.destroy();
  }

  /** What state the connection is in. The same object until something changes. */
  get status(): ConnectionStatus {
    return this.#status;
  }

  /** Short for `status.state`. */
  get state(): ConnectionState {
    return this.#status.state;
  }

  /** Whether events arrive, by stream or by polling. */
  get isConnected(): boolean {
    return this.state === "open" || this.state === "polling";
  }

  /** The id of the last event delivered. Setting it decides where the next attempt resumes. */
  get lastEventId(): string {
    return this.#cursor;
  }

  set lastEventId(id: string) {
    this.#cursor = id;
  }

  /** Calls `handler` for each event of `type`, until what it returns is called. `*` means every event. */
  on<K extends EventType<Events>>(type: K, handler: EventHandler<EventData<Events, K>>, options?: OnOptions): Unsubscribe {
    return this.#add(type, handler, options);
  }

  /** Calls `handler` whenever the status changes. */
  onConnectionChange(
    handler: (state: ConnectionState, status: ConnectionStatus) => void,
    options?: OnOptions,
  ): Unsubscribe {
    return this.#add(STATUS, handler, options);
  }

  #add(type: string, handler: (...args: any[]) => void, options?: OnOptions): Unsubscribe {
    return this.#destroyed ? () => {} : this.#handlers.add(type, handler, options);
  }

  /**
   * The events as an async iterator with a bounded queue; connects if nobody has yet. It ends when the client is
   * closed, and throws when the client fails for good. Leaving the loop gives everything back; the connection stays.
   */
  events(options: EventsOptions = {}): EventIterator {
    const loop = createQueue(options, (push, end) => {
      const offs = [this.#add(options.type ?? "*", (_, event) => push(event)), this.#add(END, end)];
      return () => offs.forEach((off) => off());
    });
    if (this.#destroyed) void loop.return();
    else if (this.state === "idle" && !options.signal?.aborted) this.connect();
    return loop;
  }

  [Symbol.asyncIterator](): EventIterator {
    return this.events();
  }

  /** Begins. Does nothing if it has begun already; after `disconnect` or an error it begins anew, with the same cursor. */
  connect(): void {
    if (this.#destroyed) throw new Error("this SSEClient is destroyed");
    if (this.#wanted) return;
    this.#wanted = true;
    ledger.clients++;
    this.#backoff.failures = this.#silent = 0;
    this.#refresh = false;
    this.#watchPage();
    this.#begin();
  }

  /** Drops the connection, if there is one, and makes a new one at once, with the same cursor. */
  reconnect(): void {
    if (!this.#wanted) return this.connect();
    this.#backoff.failures = 0;
    this.#stop();
    this.#begin();
  }

  /** Closes the connection, and all loops over `events()`. Handlers stay for another `connect`. */
  disconnect(): void {
    this.#finish("closed");
  }

  /** `disconnect`, for good: handlers go too. Idempotent, synchronous, and may be called from anywhere. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#finish("closed");
    this.#handlers.clear();
    this.#unsignal();
  }

  /** The same as `destroy`. */
  close(): void {
    this.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  // One attempt at a time.

  #begin(): void {
    this.#timer.clear();
    if (!this.#wanted || this.#paused || this.#attempt) return;
    const polls =
      this.#pollable && (this.#polling ? this.#timer.now() < this.#climbAt : this.#silent >= FALLBACK_AFTER);
    const attempt = createAttempt(this.#host, polls, this.#cursor, this.#refresh, polls ? poll : stream);
    this.#attempt = attempt;
    this.#progress = false;
    this.#goodbye = undefined;
    if (this.state === "open") this.#set("reconnecting");
    else if (this.state !== "polling" && this.state !== "reconnecting") this.#set("connecting");
    if (attempt.live) attempt.start();
  }

  /** Nothing is in flight and nothing is to come. */
  #stop(): void {
    this.#timer.clear();
    this.#attempt?.end();
    this.#attempt = undefined;
  }

  /** The only place where the deadline of the next attempt is set. */
  #schedule(delay: number): void {
    this.#timer.set(delay, () => this.#begin());
  }

  #polled(attempt: Attempt, events: number): void {
    if (this.#goodbye) return this.#lost(attempt, this.#goodbye);
    const now = this.#timer.now();
    this.#attempt = undefined;
    this.#refresh = false;
    this.#backoff.failures = 0;
    if (!this.#polling) this.#climbAt = now + this.#climb;
    this.#polling = true;
    const { pollingInterval = POLLING_INTERVAL } = this.options;
    this.#schedule(events ? 0 : attempt.begun + pollingInterval - now);
    this.#set("polling");
  }

  #lost(attempt: Attempt, error: SSEError): void {
    const failure = this.#goodbye ?? error;
    const backoff = this.#backoff;
    const now = this.#timer.now();
    this.#attempt = undefined;
    if (this.#progress || (attempt.heard && now - attempt.begun >= HEALTHY_AFTER)) backoff.failures = 0;
    const probed = this.#polling && !attempt.polls;
    this.#countSilence(attempt);
    const final = this.#judge(failure);
    if (final) return this.#finish(final.kind === "goodbye" ? "closed" : "error", final);
    let delay = backoff.next(failure.retryAfter);
    this.#notBefore = failure.retryAfter ? now + delay : 0;
    // Nobody looks, or there is no network: the first attempt as always, later ones as rarely as they ever come.
    if (backoff.failures > 1 && this.#isAsleep()) delay = Math.max(delay, backoff.max);
    this.#schedule(probed ? 0 : delay);
    this.#set("reconnecting", failure);
    this.#tell(failure);
  }

  /** Decides between streams and long-polls. */
  #countSilence({ polls, unknown, heard }: Attempt): void {
    if (polls) {
      if (unknown) this.#pollable = false;
      // Neither gets through: they take turns until one does.
      this.#polling = false;
      this.#silent = FALLBACK_AFTER - 1;
    } else if (heard) {
      this.#silent = 0;
    } else {
      this.#silent++;
      if (this.#polling) {
        this.#climb = Math.min(this.#climb * 2, CLIMB_MAX);
        this.#climbAt = this.#timer.now() + this.#climb;
      }
    }
  }

  /** The failure to end with, if no attempt can mend it. */
  #judge(failure: SSEError): SSEError | undefined {
    const { token, headers, maxRetries = Infinity } = this.options;
    const { failures } = this.#backoff;
    const { status, code } = failure;
    if (status === 401 && !this.#refresh && (typeof token === "function" || typeof headers === "function")) {
      this.#refresh = true;
      return;
    }
    if (!failure.retryable) return failure;
    if (failures < maxRetries) return;
    const message = `gave up after ${failures + 1} attempts: ${failure.message}`;
    return new SSEError("exhausted", message, { status, code, cause: failure });
  }

  // What comes.

  #receive(type: string, text: string, id: string, own: boolean): void {
    // Doubled by a server that replays more than it was asked for. A gap may lead back: its id was never given out.
    if (own && type !== "gap" && isRepeat(id, this.#cursor)) return;
    if (own) this.#cursor = id;
    this.#guard(() => {
      const { parsers = {} } = this.options as SSEClientOptions<EventMap>;
      if (type === "error") this.#hearGoodbye(text);
      else this.#progress = true;
      if (!this.#handlers.has(type) && !this.#handlers.has("*")) return;
      const event = readEvent(type, text, id, Object.hasOwn(parsers, type) ? parsers[type] : undefined);
      for (const key of new Set([type, "*"])) this.#handlers.call(key, [event.data, event], this.#failed);
    });
  }

  /** The hub says why it is about to close the stream. An `error` of another server is an event like any other. */
  #hearGoodbye(text: string): void {
    const { error, code } = readEvent("error", text, "").data ?? {};
    if (typeof code !== "string") return;
    this.#goodbye = new SSEError("goodbye", `${error ?? code}`, { code, retryable: !FINAL_CODES.test(code) });
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  /** Something of the application's threw. That is told, and disturbs nothing. */
  #failed = (cause: unknown): void => {
    if (this.options.onError)
      this.#tell(cause instanceof SSEError ? cause : new SSEError("handler", `a handler threw: ${cause}`, { cause }));
    else report(cause);
  };

  #tell(error: SSEError): void {
    try {
      this.options.onError?.(error);
    } catch (thrown) {
      report(thrown);
    }
  }

  // The status, and the end.

  #set(state: ConnectionState, error: SSEError | null = null): void {
    const { failures } = this.#backoff;
    const old = this.#status;
    if (old.state === state && old.error === error && old.failures === failures) return;
    const status = (this.#status = { state, failures, error });
    this.#handlers.call(STATUS, [state, status], this.#failed);
  }

  #finish(state: "closed" | "error", error?: SSEError): void {
    if (this.#wanted) ledger.clients--;
    this.#wanted = this.#paused = this.#polling = false;
    this.#stop();
    for (const unlisten of this.#unlisten.splice(0)) unlisten();
    this.#handlers.call(END, [state === "error" ? error : undefined], this.#failed);
    this.#set(state, error);
    if (error) this.#tell(error);
  }

  // The page.

  get #page(): Page {
    return this.options.page ?? (globalThis as Page);
  }

  #watchPage(): void {
    const page = this.#page;
    const { document } = page;
    const wake = (): void => this.#wake();
    this.#unlisten = [
      listen(page, "online", wake),
      listen(page, "pageshow", wake),
      listen(page, "pagehide", () => this.#pause()),
      listen(document, "resume", wake),
      listen(document, "visibilitychange", () => {
        if (document?.visibilityState !== "hidden") this.#wake();
      }),
    ];
  }

  /** An open stream would keep the page out of the back-forward cache. */
  #pause(): void {
    this.#paused = true;
    this.#stop();
    this.#set("reconnecting");
  }

  /** Something suggests that an attempt may work now. It moves the one deadline nearer, or makes a stream prove itself. */
  #wake(): void {
    if (this.#paused) {
      this.#paused = false;
      this.#begin();
    } else if (this.#attempt) {
      this.#attempt.wake();
    } else if (this.#timer.pending()) {
      this.#schedule(Math.max(this.#notBefore - this.#timer.now(), RETRY_MIN));
    }
  }

  #isAsleep(): boolean {
    const { document, navigator } = this.#page;
    return document?.visibilityState === "hidden" || navigator?.onLine === false;
  }
}

/** Nobody else to tell. */
function report(thrown: unknown): void {
  if (typeof reportError === "function") reportError(thrown);
  else console.error(thrown);
}
