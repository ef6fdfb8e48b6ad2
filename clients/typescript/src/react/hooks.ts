"use client";
import { useContext, useEffect, useInsertionEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { EventHandler, EventMap } from "../index.ts";
import { Boundary } from "./boundary.ts";
import { Defaults, over } from "./provider.ts";
import { IDLE, createSubscription } from "./subscription.ts";
import type { SSEHooks, UseSSEOptions, UseSSEReturn } from "./types.ts";

/**
 * A share of the connection to a stream, for as long as the component is mounted and shown.
 *
 * - The component renders when the status changes, never because of an event.
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
  const merged = over(useContext(Defaults), options);
  const { enabled = true } = merged;
  const key = keyOf(merged);
  if (!key && enabled) {
    throw new TypeError("useSSE needs a sessionId or a url (or key)");
  }
  const [subscription] = useState(() => createSubscription(enabled));
  const status = useSyncExternalStore(subscription.subscribe, () => subscription.status(key), () => IDLE);
  useInsertionEffect(() => subscription.update(merged, key));
  useEffect(() => subscription.mount(key, enabled), [subscription, key, enabled]);
  const { state, error } = status;
  if (useContext(Boundary) && state === "error") throw error;
  return useMemo(
    () => ({
      ...subscription.actions,
      isConnected: state === "open" || state === "polling",
      connectionState: state,
      connectionError: error,
      failures: status.failures,
    }),
    [subscription, status],
  );
}

/**
 * {@link useSSE}, and a handler for the events of one type (`*`: of all).
 *
 * It is called once for each event, at once, in order and outside of rendering; always the one of the latest render, so
 * it need not be memoised. What it throws goes to `onError`, or is reported, and disturbs nobody.
 *
 * The data is `any` unless said otherwise (and never guessed from the handler): here, `useSSEEvent<Tick>("tick", …)`, or once for all types of events, by
 * {@link createSSEHooks}.
 */
export function useSSEEvent<T = any>(
  type: string,
  handler: EventHandler<NoInfer<T>>,
  options?: UseSSEOptions<any>,
): UseSSEReturn {
  const sse = useSSE(options);
  const { addEventListener } = sse;
  const latest = useRef(handler);
  useInsertionEffect(() => {
    latest.current = handler;
  });
  useEffect(
    () => addEventListener(type, (event) => latest.current(event.data, event)),
    [addEventListener, type],
  );
  return sse;
}

/** The hooks with the types of one map of events: `export const { useSSE, useSSEEvent } = createSSEHooks<Events>()`. */
export function createSSEHooks<Events extends object>(): SSEHooks<Events> {
  return { useSSE, useSSEEvent };
}

/** What makes two streams the same one; `undefined` if nothing says which stream is meant. */
function keyOf({ method, url, baseUrl, sessionId, key }: UseSSEOptions<any>): string | undefined {
  const known = typeof url === "function" ? key : (url ?? sessionId);
  return known ? JSON.stringify([method, url ?? [baseUrl, sessionId], key]) : undefined;
}
