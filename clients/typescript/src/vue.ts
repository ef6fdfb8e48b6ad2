/**
 * Composables for Vue 3.4 and newer, over the same shared connections as the React hooks.
 *
 * @packageDocumentation
 */
import { onMounted, onScopeDispose, shallowReadonly, shallowRef, toValue, watch, type MaybeRefOrGetter, type ShallowRef } from "vue";
import type { ConnectionStatus, EventHandler, Gap, SSEEvent, Unsubscribe } from "./index.ts";
import { Fold, type Reducer } from "./store/fold.ts";
import type { StreamOptions } from "./store/options.ts";
import { createShare } from "./store/share.ts";
import { IDLE } from "./status.ts";
import type { Subscription } from "./store/subscription.ts";

export type { StreamOptions } from "./store/options.ts";
export type { Reducer } from "./store/fold.ts";

/** What {@link useSSE} gives. */
export interface UseSSE extends Pick<Subscription, "addEventListener" | "connect" | "disconnect" | "reconnect"> {
  /** The status, reactive; idle before the component is mounted, and on a server. */
  readonly status: Readonly<ShallowRef<ConnectionStatus>>;
}

/**
 * A share of the connection to a stream, for as long as the component is mounted. Components that mean the same stream share
 * one connection. Options may be a ref or a getter: what means another stream moves over, anything else reconnects nobody.
 */
export function useSSE(options: MaybeRefOrGetter<StreamOptions<any>>): UseSSE {
  const { subscription, apply, end } = createShare(toValue(options).enabled);
  const status = shallowRef<ConnectionStatus>(IDLE);
  const off = subscription.subscribe(() => {
    status.value = subscription.status();
  });
  onMounted(() => apply(toValue(options)));
  // In the same tick: between a change and this, an event of the old stream would come.
  const unwatch = watch(() => ({ ...toValue(options) }), (now) => subscription.key !== undefined && apply(now), { flush: "sync" });
  onScopeDispose(() => {
    unwatch();
    end();
    off();
  });
  const { addEventListener, connect, disconnect, reconnect } = subscription;
  return { status: shallowReadonly(status), addEventListener, connect, disconnect, reconnect };
}

/** {@link useSSE}, and a handler that is told of what is missing. */
export function useSSEEvent(type: "gap", handler: EventHandler<Gap>, options: MaybeRefOrGetter<StreamOptions<any>>): UseSSE;
/** {@link useSSE}, and a handler for the events of one type (`*`: of all), called outside of rendering. */
export function useSSEEvent<T = unknown>(
  type: string,
  handler: EventHandler<T>,
  options: MaybeRefOrGetter<StreamOptions<any>>,
): UseSSE;
export function useSSEEvent(type: string, handler: EventHandler<any>, options: MaybeRefOrGetter<StreamOptions<any>>): UseSSE {
  const sse = useSSE(options);
  const off: Unsubscribe = sse.addEventListener(type, (event: SSEEvent<any>) => handler(event.data, event));
  onScopeDispose(off);
  return sse;
}

/** What the gaps amount to, shown once a frame at most. */
export function useSSEState<S>(
  type: "gap",
  reducer: Reducer<S, Gap>,
  initial: S,
  options: MaybeRefOrGetter<StreamOptions<any>>,
): Readonly<ShallowRef<S>>;
/** What the events of one type amount to, shown once a frame at most. */
export function useSSEState<S, T = unknown>(
  type: string,
  reducer: Reducer<S, T>,
  initial: S,
  options: MaybeRefOrGetter<StreamOptions<any>>,
): Readonly<ShallowRef<S>>;
export function useSSEState<S>(
  type: string,
  reducer: Reducer<S, any>,
  initial: S,
  options: MaybeRefOrGetter<StreamOptions<any>>,
): Readonly<ShallowRef<S>> {
  const fold = new Fold(reducer, initial);
  const state = shallowRef(initial) as ShallowRef<S>;
  const { addEventListener } = useSSE(options);
  const offs = [addEventListener(type, fold.take), fold.subscribe(() => (state.value = fold.snapshot()))];
  onScopeDispose(() => offs.forEach((off) => off()));
  return shallowReadonly(state);
}
