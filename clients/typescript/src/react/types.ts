import type {
  ConnectionState,
  EventData,
  EventHandler,
  EventMap,
  EventType,
  SSEClientOptions,
  SSEError,
  SSEEvent,
  Unsubscribe,
} from "../index.ts";

/**
 * Settings of a hook: all of {@link SSEClientOptions}, and two of React's own. None needs to be memoised.
 *
 * `method`, `url` (or `baseUrl` and `sessionId`) and `key` say which stream is meant; hooks that mean the same one share
 * its connection. All others are read anew for each attempt, so a new `token` or new `headers` never reconnect. Where
 * several components share a connection, those of the first one mounted count (development warns if they differ),
 * but everybody's `onError` is called, and everybody's `onComment` if the first one had one. Aborting `signal` disconnects this component alone.
 *
 * `lastEventId` says where this component begins, `replay` where a connection does: who joins one that is there
 * already gets what comes from then on.
 */
export interface UseSSEOptions<Events extends object = EventMap> extends SSEClientOptions<Events> {
  /** Whether to connect without being asked to. `connect` works all the same. Default true. */
  enabled?: boolean | undefined;
  /** Sets streams apart that would share a connection otherwise. Needed if `url` is a function. */
  key?: string | undefined;
}

/** What the hooks return. The same object until the status changes; its functions are the same for a component's life. */
export interface UseSSEReturn<Events extends object = EventMap> {
  /** Whether events arrive, by stream or by polling. */
  readonly isConnected: boolean;
  /** `idle` before the first effect, on a server, and while not enabled. */
  readonly connectionState: ConnectionState;
  /** Why the last attempt failed, or the connection is over; `null` while all is well. */
  readonly connectionError: SSEError | null;
  /** Failed attempts in a row. */
  readonly failures: number;
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
  useSSE(options?: UseSSEOptions<Events>): UseSSEReturn<Events>;
  useSSEEvent<K extends EventType<Events>>(
    type: K,
    handler: EventHandler<EventData<Events, K>>,
    options?: UseSSEOptions<Events>,
  ): UseSSEReturn<Events>;
}
