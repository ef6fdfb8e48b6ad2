/// <reference lib="esnext.disposable" preserve="true" />
import { createEngine } from "./engine.ts";
import type { EventIterator } from "./queue.ts";
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

/** What a client does. Every method is bound: it can be passed on as it is. */
export interface SSEClient<Events extends object = EventMap> extends AsyncIterable<SSEEvent>, Disposable {
  /** Calls `handler` for each event of `type`, until what it returns is called. `*` means every event. */
  on<K extends EventType<Events>>(type: K, handler: EventHandler<EventData<Events, K>>, options?: OnOptions): Unsubscribe;

  /** Calls `handler` whenever the status changes. */
  onConnectionChange(
    handler: (state: ConnectionState, status: ConnectionStatus) => void,
    options?: OnOptions,
  ): Unsubscribe;

  /**
   * The events as an async iterator with a bounded queue; connects if the client is not connected. It ends when the client is
   * closed, and throws when the client fails for good. Leaving the loop gives everything back; the connection stays.
   */
  events(options?: EventsOptions): EventIterator;

  /**
   * Begins. Does nothing if it has begun already; after `disconnect` or an error it begins anew, with the same cursor.
   *
   * @throws Error after `destroy`.
   */
  connect(): void;

  /**
   * Drops the connection, if there is one, and makes a new one at once, with the same cursor and without any back-off: for a
   * person who asks for it, not for a handler that is called at each failure.
   */
  reconnect(): void;

  /** Closes the connection, and all loops over `events()`. Handlers stay for another `connect`. */
  disconnect(): void;

  /** `disconnect`, for good: handlers go too. Idempotent, synchronous, and may be called from anywhere. */
  destroy(): void;

  /** The same as `destroy`. */
  close(): void;

  [Symbol.dispose](): void;

  /** The same as `events()`. */
  [Symbol.asyncIterator](): EventIterator;
}

/**
 * A subscription that comes back by itself, where it left off.
 *
 * One request at a time, one timer at a time, one way out. Nothing happens before `connect`; after `disconnect` or
 * `destroy` nothing happens any more, from the moment they are called, whoever calls them.
 */
export class SSEClient<Events extends object = EventMap> {
  readonly options: Readonly<SSEClientOptions<Events>>;
  /** What state the connection is in. The same object until something changes. */
  readonly status: ConnectionStatus = { state: "idle", failures: 0, error: null };
  /** The id of the last event delivered. Setting it decides where the next attempt resumes. */
  lastEventId: string;

  /** @throws TypeError if the options name neither a session nor a URL. */
  constructor(options: SSEClientOptions<Events>) {
    this.options = options;
    this.lastEventId = options.lastEventId ?? "";
    Object.assign(this, createEngine(this, options));
  }

  /** Short for `status.state`. */
  get state(): ConnectionState {
    return this.status.state;
  }

  /** Whether events arrive, by stream or by polling. */
  get isConnected(): boolean {
    return this.state === "open" || this.state === "polling";
  }

}
