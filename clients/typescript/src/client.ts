import { Attempt, type AttemptHost } from "./attempt.ts";
import { Backoff } from "./backoff.ts";
import { readEvent } from "./data.ts";
import { listen, Timer, type Page } from "./environment.ts";
import { SSEError } from "./errors.ts";
import { Handlers } from "./handlers.ts";
import { isRepeat } from "./id.ts";
import { ledger } from "./ledger.ts";
import { CLIMB_MAX, CLIMB_MIN, FALLBACK_AFTER, HEALTHY_AFTER, POLLING_INTERVAL, RETRY_MIN } from "./limits.ts";
import { PollAttempt } from "./poll.ts";
import { EventQueue } from "./queue.ts";
import { sessionUrl } from "./request.ts";
import type { ShareSeat } from "./share.ts";
import { StreamAttempt } from "./stream.ts";
import type {
  ConnectionState,
  ConnectionStatus,
  DataParser,
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
  /** The last of them got no answer at all: somebody on the way keeps streams back. */
  #mute = false;
  #polling = false;
  /** The server answers long-polls, as far as we know. */
  #pollable: boolean;
  #climb = CLIMB_MIN;
  #climbAt = 0;

  #handlers = new Handlers<[any, SSEEvent]>();
  #watchers = new Handlers<[ConnectionState, ConnectionStatus]>();
  #queues = new Set<EventQueue>();
  #unlisten: Unsubscribe[] = [];
  #unsignal: Unsubscribe = () => {};
  #seat: ShareSeat | undefined;
  /** Another tab connects for us. */
  #following = false;
  /** The page is in the back-forward cache, or on its way there or to its end. */
  #paused = false;
  #host: AttemptHost;

  constructor(options: SSEClientOptions<Events>) {
    this.options = options;
    if (options.url === undefined) sessionUrl(options);
    this.#timer = new Timer(options.clock, options.keepAlive);
    this.#backoff = new Backoff(options.retryDelay, options.maxRetryDelay, options.random);
    this.#cursor = options.lastEventId ?? "";
    this.#pollable = options.enablePollingFallback ?? options.url === undefined;
    this.#host = this.#makeHost();
    if (options.signal?.aborted) this.destroy();
    else this.#unsignal = listen(options.signal, "abort", () => this.destroy());
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
    return this.#destroyed ? () => {} : this.#handlers.add(type, handler, options);
  }

  /** Calls `handler` whenever the status changes. */
  onConnectionChange(
    handler: (state: ConnectionState, status: ConnectionStatus) => void,
    options?: OnOptions,
  ): Unsubscribe {
    return this.#destroyed ? () => {} : this.#watchers.add("", handler, options);
  }

  /**
   * The events as an async iterator with a bounded queue; connects if nobody has yet. It ends when the client is
   * closed, and throws when the client fails for good. Leaving the loop gives everything back; the connection stays.
   */
  events(options: EventsOptions = {}): EventQueue {
    const queue = new EventQueue(options, (ended) => {
      this.#queues.delete(ended);
      off();
    });
    let off: Unsubscribe = () => {};
    if (this.#destroyed) queue.end();
    else if (!options.signal?.aborted) {
      off = this.#handlers.add(options.type ?? "*", (_, event) => queue.push(event));
      this.#queues.add(queue);
      if (this.state === "idle") this.connect();
    }
    return queue;
  }

  [Symbol.asyncIterator](): EventQueue {
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
    if (this.options.share) this.#join();
    else this.#begin();
  }

  /** Drops the connection, if there is one, and makes a new one at once, with the same cursor. */
  reconnect(): void {
    if (!this.#wanted) return this.connect();
    if (this.#following) return;
    this.#backoff.failures = 0;
    this.#endAttempt();
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
    this.#handlers.clear();
    this.#finish("closed");
    this.#watchers.clear();
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
    if (!this.#wanted || this.#following || this.#paused || this.#attempt) return;
    const attempt = this.#nextIsPoll() ? new PollAttempt(this.#host) : new StreamAttempt(this.#host);
    this.#attempt = attempt;
    this.#progress = false;
    this.#goodbye = undefined;
    const { state } = this;
    if (state === "open") this.#set("reconnecting", null);
    else if (state !== "polling" && state !== "reconnecting") this.#set("connecting", null);
    if (attempt.live) attempt.start();
  }

  #nextIsPoll(): boolean {
    if (!this.#pollable) return false;
    return this.#polling ? this.#timer.now() < this.#climbAt : this.#silent >= FALLBACK_AFTER;
  }

  #endAttempt(): void {
    this.#attempt?.end();
    this.#attempt = undefined;
  }

  /** The only place where the deadline of the next attempt is set. */
  #schedule(delay: number): void {
    this.#timer.set(delay, () => this.#begin());
  }

  #makeHost(): AttemptHost {
    const client = this;
    return {
      options: this.options,
      comment: this.options.onComment && ((text) => this.#guard(() => this.options.onComment?.(text))),
      get cursor() {
        return client.#cursor;
      },
      get refresh() {
        return client.#refresh;
      },
      opened: () => this.#opened(),
      event: (type, text, id, own) => this.#receive(type, text, id, own),
      position: (id) => {
        if (!isRepeat(id, this.#cursor)) this.#cursor = id;
      },
      retry: (milliseconds) => {
        this.#backoff.base = milliseconds;
      },
      polled: (attempt, events) => this.#polled(attempt, events),
      stopped: () => this.#finish("closed"),
      lost: (attempt, error) => this.#lost(attempt, error),
    };
  }

  #opened(): void {
    this.#refresh = this.#polling = this.#mute = false;
    this.#climb = CLIMB_MIN;
    this.#set("open", null);
  }

  #polled(attempt: Attempt, events: number): void {
    this.#attempt = undefined;
    if (this.#goodbye) return this.#lost(attempt, this.#goodbye);
    this.#refresh = false;
    this.#backoff.failures = 0;
    if (!this.#polling) {
      this.#polling = true;
      // Where streams were refused, not kept back, the way is likely free again.
      this.#climbAt = this.#mute ? this.#timer.now() + this.#climb : 0;
    }
    const rest = (this.options.pollingInterval ?? POLLING_INTERVAL) - (this.#timer.now() - attempt.begun);
    this.#schedule(events || !this.#climbAt ? 0 : rest);
    this.#set("polling", null);
  }

  #lost(attempt: Attempt, error: SSEError): void {
    this.#attempt = undefined;
    const failure = this.#goodbye ?? error;
    const healthy = this.#progress || (attempt.opened && this.#timer.now() - attempt.begun >= HEALTHY_AFTER);
    if (healthy) this.#backoff.failures = 0;
    this.#countSilence(attempt);
    const final = this.#judge(failure);
    if (final) return this.#finish(final.kind === "goodbye" ? "closed" : "error", final);
    let delay = this.#backoff.next(failure.retryAfter);
    this.#notBefore = failure.retryAfter === undefined ? 0 : this.#timer.now() + delay;
    // Nobody looks, or there is no network: the first attempt as always, later ones as rarely as they ever come.
    if (this.#backoff.failures > 1 && this.#isAsleep()) delay = Math.max(delay, this.#backoff.max);
    this.#schedule(this.#polling && attempt instanceof StreamAttempt ? 0 : delay);
    this.#set("reconnecting", failure);
    this.options.onError?.(failure);
  }

  /** Decides between streams and long-polls. */
  #countSilence(attempt: Attempt): void {
    if (attempt instanceof PollAttempt) {
      if (attempt.unknown) this.#pollable = false;
      // Neither gets through: they take turns until one does.
      this.#polling = false;
      this.#silent = FALLBACK_AFTER - 1;
    } else if (attempt.opened && attempt.heard) {
      this.#silent = 0;
    } else {
      this.#silent++;
      this.#mute = attempt.mute;
      if (this.#polling) {
        this.#climb = this.#climbAt ? Math.min(this.#climb * 2, CLIMB_MAX) : CLIMB_MIN;
        this.#climbAt = this.#timer.now() + this.#climb;
      }
    }
  }

  /** The failure to end with, if no attempt can mend it. */
  #judge(failure: SSEError): SSEError | undefined {
    const { token, headers, maxRetries = Infinity } = this.options;
    if (failure.status === 401 && !this.#refresh && [token, headers].some((option) => typeof option === "function")) {
      this.#refresh = true;
      return;
    }
    if (!failure.retryable) return failure;
    if (this.#backoff.failures < maxRetries) return;
    return new SSEError("exhausted", `gave up after ${this.#backoff.failures + 1} attempts: ${failure.message}`, {
      status: failure.status,
      code: failure.code,
      cause: failure,
    });
  }

  // What comes.

  #receive(type: string, text: string, id: string, own: boolean): void {
    // Doubled by a server that replays more than it was asked for. A gap may lead back: its id was never given out.
    if (own && type !== "gap" && isRepeat(id, this.#cursor)) return;
    const before = this.#cursor;
    if (own) this.#cursor = id;
    if (type === "error") this.#hearGoodbye(text);
    else this.#progress = true;
    this.#seat?.publish({ type, text, id }, before);
    this.#dispatch(type, text, id);
  }

  /** The hub says why it is about to close the stream. An `error` of another server is an event like any other. */
  #hearGoodbye(text: string): void {
    const { data } = readEvent("error", text, "");
    if (typeof data?.code !== "string") return;
    const retryable = !FINAL_CODES.test(data.code);
    this.#goodbye = new SSEError("goodbye", String(data.error ?? data.code), { code: data.code, retryable });
  }

  #dispatch(type: string, text: string, id: string): void {
    if (!this.#handlers.has(type) && !this.#handlers.has("*")) return;
    this.#guard(() => {
      const parsers = this.options.parsers as Record<string, DataParser> | undefined;
      const event = readEvent(type, text, id, parsers && Object.hasOwn(parsers, type) ? parsers[type] : undefined);
      this.#handlers.call(type, [event.data, event], this.#failed);
      if (type !== "*") this.#handlers.call("*", [event.data, event], this.#failed);
    });
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  /** Something of the application's threw. That is told, and disturbs nothing. */
  #failed = (thrown: unknown): void => {
    const error =
      thrown instanceof SSEError ? thrown : new SSEError("handler", `a handler threw: ${String(thrown)}`, { cause: thrown });
    const { onError } = this.options;
    if (onError) onError(error);
    else if (typeof reportError === "function") reportError(thrown);
    else console.error(thrown);
  };

  // The status, and the end.

  #set(state: ConnectionState, error: SSEError | null): void {
    const { failures } = this.#backoff;
    const old = this.#status;
    if (old.state === state && old.error === error && old.failures === failures) return;
    this.#status = Object.freeze({ state, failures, error });
    this.#seat?.announce(state, error);
    this.#watchers.call("", [state, this.#status], this.#failed);
  }

  #finish(state: "closed" | "error", error: SSEError | null = null): void {
    if (this.#wanted) ledger.clients--;
    this.#wanted = this.#following = this.#paused = this.#polling = false;
    this.#timer.clear();
    this.#endAttempt();
    for (const unlisten of this.#unlisten.splice(0)) unlisten();
    const seat = this.#seat;
    this.#seat = undefined;
    seat?.leave();
    for (const queue of [...this.#queues]) queue.end((state === "error" && error) || undefined);
    this.#set(state, error);
    if (error) this.options.onError?.(error);
  }

  // The page, and other tabs.

  #watchPage(): void {
    const page: Page = this.options.page ?? (globalThis as Page);
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
    this.#timer.clear();
    this.#endAttempt();
    if (!this.#following) this.#set("reconnecting", null);
  }

  /** Something suggests that an attempt may work now. It moves the one deadline nearer, or makes a stream prove itself. */
  #wake(): void {
    if (this.#paused) {
      this.#paused = false;
      this.#begin();
    } else if (this.#attempt) {
      this.#attempt.wake();
    } else if (this.#timer.pending) {
      this.#schedule(Math.max(this.#notBefore - this.#timer.now(), RETRY_MIN));
    }
  }

  #isAsleep(): boolean {
    const page: Page = this.options.page ?? (globalThis as Page);
    return page.document?.visibilityState === "hidden" || page.navigator?.onLine === false;
  }

  #join(): void {
    const { options } = this;
    this.#following = true;
    this.#set("connecting", null);
    this.#seat = options.share?.join({
      key: `${options.method ?? "GET"} ${options.url === undefined ? sessionUrl(options) : String(options.url)}`,
      cursor: () => this.#cursor,
      lead: () => {
        this.#following = false;
        this.#begin();
      },
      follow: () => {
        this.#following = true;
        this.#timer.clear();
        this.#endAttempt();
      },
      deliver: ({ type, text, id }) => this.#receive(type, text, id, true),
      status: (state, error) => this.#set(state, error),
    });
  }
}
