"use client";
import { useContext, useEffect, useInsertionEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { ConnectionStatus, EventHandler, EventMap, Gap, SSEEvent, Unsubscribe } from "../index.ts";
import { Fold, type Reducer } from "../store/fold.ts";
import { IDLE, isConnected } from "../status.ts";
import { Subscription } from "../store/subscription.ts";
import { keyOf, over } from "../store/options.ts";
import { Boundary } from "./boundary.ts";
import { Defaults, isSame } from "./provider.ts";
import type { SSEHooks, UseSSEOptions, UseSSEReturn } from "./types.ts";

/** A share of the connection that `options` and the providers mean, for as long as the component is mounted and shown. */
function useSubscription(options: UseSSEOptions<any> = {}): { subscription: Subscription; key: string | undefined } {
  const merged = over(useContext(Defaults), options);
  const { enabled = true } = merged;
  const key = keyOf(merged);
  if (!key && enabled) {
    throw new TypeError("useSSE needs a sessionId or a url (or key)");
  }
  const [subscription] = useState(() => new Subscription(enabled));
  useInsertionEffect(() => subscription.update(merged, key));
  useEffect(() => subscription.mount(key, enabled), [subscription, key, enabled]);
  return { subscription, key };
}

/** Renders when what `select` makes of the status changes, and throws below an error boundary what ended the connection. */
function useStatusOf<T>(
  { subscription, key }: ReturnType<typeof useSubscription>,
  select: (status: ConnectionStatus) => T,
): T {
  const isCaught = useContext(Boundary);
  const select$ = (): T => {
    const status = subscription.status(key);
    if (isCaught && status.state === "error") throw status.error;
    return select(status);
  };
  return useSyncExternalStore(subscription.subscribe, select$, () => select(IDLE));
}

/** A handler for as long as the component is mounted and shown; always that of the latest commit, and of its type. */
function useListener({ addEventListener }: Pick<Subscription, "addEventListener">, type: string, handler: (event: SSEEvent<any>) => void): void {
  const latest = useRef({ type, handler, off: undefined as Unsubscribe | undefined });
  useInsertionEffect(() => {
    const { current } = latest;
    current.handler = handler;
    if (current.type === type) return;
    // At once: an event between a commit and its effects comes to the handler that is for its type, or to none.
    current.type = type;
    if (current.off) listen();
  });
  const listen = (): void => {
    const { current } = latest;
    current.off?.();
    current.off = addEventListener(current.type, (event) => current.handler(event));
  };
  useEffect(() => {
    const { current } = latest;
    listen();
    return () => {
      current.off?.();
      current.off = undefined;
    };
    // `listen` reads what is current.
  }, [addEventListener]);
}

/**
 * A share of the connection to a stream, for as long as the component is mounted and shown.
 *
 * - The component renders when the status changes and it reads it, never because of an event.
 * - Nothing needs to be memoised. Components that mean the same stream share one connection, `StrictMode` or not.
 * - Unmounting gives everything back; so do `<Activity mode="hidden">` and `disconnect`. The component that is shown again,
 *   or connects again, gets what it missed, if the stream has ids. Where others kept the connection open meanwhile, it
 *   catches up over one of its own, until both are at the same event; nobody else notices.
 * - On a server it is idle.
 *
 * @throws TypeError in render, if no option says which stream is meant, unless `enabled` is false.
 * @throws SSEError in render, below an `SSEErrorBoundary`, once the connection is over for good.
 */
export function useSSE<Events extends object = EventMap>(options: UseSSEOptions<Events> = {}): UseSSEReturn<Events> {
  const share = useSubscription(options);
  const { subscription, key } = share;
  const [reading] = useState({ isStatusRead: false });
  // Who does not read the status is not rendered by it.
  useStatusOf(share, (status) => (reading.isStatusRead ? status : IDLE));
  const status = subscription.status(key);
  return useMemo(() => {
    const read = (): ConnectionStatus => {
      reading.isStatusRead = true;
      return subscription.status(key);
    };
    const { addEventListener, connect, disconnect, reconnect } = subscription;
    return {
      addEventListener: addEventListener as UseSSEReturn<Events>["addEventListener"],
      connect,
      disconnect,
      reconnect,
      get isConnected() {
        return isConnected(read().state);
      },
      get connectionState() {
        return read().state;
      },
      get connectionError() {
        return read().error;
      },
      get closeReason() {
        return read().reason;
      },
      get failures() {
        return read().failures;
      },
      get lastEventId() {
        return subscription.lastEventId;
      },
    };
    // A new object for each status, so that who compares it sees that it changed.
  }, [subscription, key, reading, status]);
}

/** {@link useSSE}, and a handler that is told of what is missing. */
export function useSSEEvent(type: "gap", handler: EventHandler<Gap>, options?: UseSSEOptions<any>): UseSSEReturn;
/**
 * {@link useSSE}, and a handler for the events of one type (`*`: of all).
 *
 * It is called once for each event, at once, in order and outside of rendering; always the one of the latest render, so
 * it need not be memoised. What it throws goes to `onError`, or is reported, and disturbs nobody.
 *
 * The data is `any` unless said otherwise (and never guessed from the handler): here, `useSSEEvent<Tick>("tick", …)`, or once
 * for all types of events, by {@link createSSEHooks}.
 */
export function useSSEEvent<T = any>(
  type: string,
  handler: EventHandler<NoInfer<T>>,
  options?: UseSSEOptions<any>,
): UseSSEReturn;
export function useSSEEvent(type: string, handler: EventHandler<any>, options?: UseSSEOptions<any>): UseSSEReturn {
  const sse = useSSE(options);
  useListener(sse, type, (event) => handler(event.data, event));
  return sse;
}

/** What the gaps amount to: how many events are missing, for instance. */
export function useSSEState<S>(type: "gap", reducer: Reducer<S, Gap>, initial: S, options?: UseSSEOptions<any>): S;
/**
 * What the events of one type amount to: `reducer` folds each of them into the state, in order and outside of rendering; the
 * component renders at most once a frame, however many come. Another stream, or another type, begins with `initial` again.
 */
export function useSSEState<S, T = any>(
  type: string,
  reducer: Reducer<S, NoInfer<T>>,
  initial: S,
  options?: UseSSEOptions<any>,
): S;
export function useSSEState<S>(type: string, reducer: Reducer<S, any>, initial: S, options?: UseSSEOptions<any>): S {
  const { subscription, key } = useSubscription(options);
  const [fold] = useState(() => new Fold<S>(reducer, initial));
  const shown = useRef({ key, type });
  useInsertionEffect(() => {
    fold.reducer = reducer;
  });
  useListener(subscription, type, fold.take);
  useEffect(() => {
    if (shown.current.key !== key || shown.current.type !== type) fold.reset(initial);
    shown.current = { key, type };
    // Only then: `initial` may be written inline.
  }, [fold, key, type]);
  return useSyncExternalStore(fold.subscribe, fold.snapshot, () => initial);
}

/**
 * What `select` makes of the status: the component renders when that changes (an object: when one of its fields does), not
 * with every status.
 */
export function useSSEStatus<T>(select: (status: ConnectionStatus) => T, options?: UseSSEOptions<any>): T {
  const share = useSubscription(options);
  const kept = useMemo(() => keepWhileEqual(select), [select]);
  return useStatusOf(share, kept);
}

/** The same function, but what it returns stays the same object as long as its fields do. */
function keepWhileEqual<T>(select: (status: ConnectionStatus) => T): (status: ConnectionStatus) => T {
  let last: { status: ConnectionStatus; value: T } | undefined;
  return (status) => {
    if (last?.status === status) return last.value;
    const value = select(status);
    last = { status, value: last && isSame({ value: last.value }, { value }) ? last.value : value };
    return last.value;
  };
}

/** The hooks with the types of one map of events: `export const { useSSE, useSSEEvent } = createSSEHooks<Events>()`. */
export function createSSEHooks<Events extends object>(): SSEHooks<Events> {
  return { useSSE, useSSEEvent, useSSEState, useSSEStatus } as SSEHooks<Events>;
}
