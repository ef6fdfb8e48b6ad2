import type {
  CloseReason,
  ConnectionState,
  ConnectionStatus,
  EventData,
  EventHandler,
  EventMap,
  EventType,
  SSEError,
  SSEEvent,
  Unsubscribe,
} from "../index.ts";
import type { Reducer } from "../store/fold.ts";
import type { StreamOptions } from "../store/options.ts";

/** Settings of a hook: {@link StreamOptions}. */
export type UseSSEOptions<Events extends object = EventMap> = StreamOptions<Events>;

/** What the hooks return; its functions are the same for a component's life. The component renders when the status changes, if it
 * reads any of it. */
export interface UseSSEReturn<Events extends object = EventMap> {
  /** Whether events arrive, by stream or by polling. */
  readonly isConnected: boolean;
  /** `idle` before the first effect, on a server, and while not enabled. */
  readonly connectionState: ConnectionState;
  /** Why the last attempt failed, or the connection is over for good; `null` while all is well, and after an end. */
  readonly connectionError: SSEError | null;
  /** Why the connection is `closed`; `null` in any other state. */
  readonly closeReason: CloseReason | null;
  /** Failed attempts in a row. */
  readonly failures: number;
  /** The id of the last event, as it is when it is read; reading it renders nobody. Empty before the first. */
  readonly lastEventId: string;
  /**
   * Calls `handler` for each event of `type` (`*`: of all), outside of rendering, until what it returns is called. Works
   * at any time, connected or not, and outlives reconnects and changes of the stream. Call it in an effect and return
   * what it returns. The same function twice is two registrations.
   */
  addEventListener<K extends EventType<Events>>(
    type: K,
    handler: (event: SSEEvent<EventData<Events, K>>) => void,
  ): Unsubscribe;
  /** Takes part again: after `disconnect`, without `enabled`, or after an error that ended the connection. */
  connect(): void;
  /**
   * Takes part no longer: this one hook, not others of the same component. The connection closes with the last one. Where it
   * was is kept for `connect`. To switch a whole page off and on, give an `SSEProvider` its `enabled`.
   */
  disconnect(): void;
  /** Replaces the connection by a new one at once, from the same place, for all who share it. */
  reconnect(): void;
}

/** The hooks, for one map of event types. */
export interface SSEHooks<Events extends object> {
  /** {@link useSSE} with these types. */
  useSSE(options?: UseSSEOptions<Events>): UseSSEReturn<Events>;
  /** {@link useSSEEvent} with these types. */
  useSSEEvent<K extends EventType<Events>>(
    type: K,
    handler: EventHandler<EventData<Events, K>>,
    options?: UseSSEOptions<Events>,
  ): UseSSEReturn<Events>;
  /** {@link useSSEState} with these types. */
  useSSEState<K extends EventType<Events>, S>(
    type: K,
    reducer: Reducer<S, EventData<Events, K>>,
    initial: S,
    options?: UseSSEOptions<Events>,
  ): S;
  /** {@link useSSEStatus} with these types. */
  useSSEStatus<T>(select: (status: ConnectionStatus) => T, options?: UseSSEOptions<Events>): T;
}
