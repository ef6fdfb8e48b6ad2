/// <reference lib="esnext.disposable" preserve="true" />
import { createConnector, type Connector } from "./connector.ts";
import { createCursor, type Cursor } from "./cursor.ts";
import { createDelivery, END, STATUS, type Delivery } from "./delivery.ts";
import { onAbort } from "./environment.ts";
import { SSEError } from "./errors.ts";
import { createQueue, type EventIterator } from "./queue.ts";
import { sessionUrl } from "./request.ts";
import { isConnected } from "./status.ts";
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

/**
 * A subscription that comes back by itself, where it left off.
 *
 * One request at a time, one timer at a time, one way out. Nothing happens before `connect`; after `disconnect` or
 * `destroy` nothing happens any more, from the moment they are called, whoever calls them.
 */
export class SSEClient<Events extends object = EventMap> implements AsyncIterable<SSEEvent>, Disposable {
  // Private, all of it: what a person prints of a client shows no token.
  readonly #options: SSEClientOptions<Events>;
  readonly #delivery: Delivery;
  readonly #cursor: Cursor;
  readonly #connector: Connector;
  #isDestroyed = false;
  #stopListening: Unsubscribe | undefined;

  /** @throws TypeError if the options name neither a session nor a URL. */
  constructor(options: SSEClientOptions<Events>) {
    if (options.url === undefined) sessionUrl(options);
    this.#options = options;
    this.#delivery = createDelivery(this, options);
    this.#cursor = createCursor(() => this.#delivery.tell(new SSEError("limit", "no request can carry this id")));
    this.#connector = createConnector(options, this.#cursor, this.#delivery);
    this.lastEventId = options.lastEventId ?? "";
    this.#stopListening = onAbort(options.signal, () => this.destroy());
  }

  /** The options it was made with. Read anew for each attempt, but for `clock`, `page`, `signal` and `keepAlive`. */
  get options(): Readonly<SSEClientOptions<Events>> {
    return this.#options;
  }

  /** What state the connection is in. The same object until something changes. */
  get status(): ConnectionStatus {
    return this.#connector.status;
  }

  /** Short for `status.state`. */
  get state(): ConnectionState {
    return this.status.state;
  }

  /** Whether events arrive, by stream or by polling. */
  get isConnected(): boolean {
    return isConnected(this.state);
  }

  /** The id of the last event delivered. Setting it decides where the next attempt resumes. */
  get lastEventId(): string {
    return this.#cursor.id;
  }

  /** Where the next attempt resumes. */
  set lastEventId(id: string) {
    this.#cursor.jump(id);
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
    // None is told an old status after a newer one that another brought about.
    return this.#add(STATUS, (status: ConnectionStatus) => this.status === status && handler(status.state, status), options);
  }

  /**
   * The events as an async iterator with a bounded queue; connects if the client is not connected. It ends when the client is
   * closed, and throws when the client fails for good. Leaving the loop gives everything back; the connection stays.
   */
  events(options: EventsOptions = {}): EventIterator {
    const loop = createQueue(options, (push, end) => [
      this.#add(options.type ?? "*", (_, event: SSEEvent) => push(event)),
      this.#add(END, end),
    ]);
    if (this.#isDestroyed) void loop.return();
    else if (!options.signal?.aborted) this.connect();
    return loop;
  }

  /**
   * Begins. Does nothing if it has begun already; after `disconnect` or an error it begins anew, with the same cursor.
   *
   * @throws Error after `destroy`.
   */
  connect(): void {
    if (this.#isDestroyed) throw new Error("destroyed");
    this.#connector.connect();
  }

  /**
   * Drops the connection, if there is one, and makes a new one at once, with the same cursor and without any back-off. Where it
   * is called again before anything came, it waits until a second has passed.
   */
  reconnect(): void {
    if (this.#connector.isWanted) this.#connector.reconnect();
    else this.connect();
  }

  /** Closes the connection, and all loops over `events()`. Handlers stay for another `connect`. */
  disconnect(): void {
    this.#connector.finish("disconnected");
  }

  /** `disconnect`, for good: handlers go too. Idempotent, synchronous, and may be called from anywhere. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#connector.finish("disconnected");
    this.#delivery.debug({ type: "destroyed" });
    this.#delivery.handlers.clear();
    this.#stopListening?.();
  }

  /** The same as `destroy`. */
  close(): void {
    this.destroy();
  }

  /** The same as `destroy`. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  /** The same as `events()`. */
  [Symbol.asyncIterator](): EventIterator {
    return this.events();
  }

  #add(type: string, handler: (...args: any[]) => void, options?: OnOptions): Unsubscribe {
    return this.#isDestroyed ? () => {} : this.#delivery.handlers.add(type, handler, options);
  }
}
