/**
 * Stores for Svelte, over the same shared connections as the React hooks. They follow Svelte's store contract: `$status` in a
 * component connects, and the last one who leaves gives everything back.
 *
 * @packageDocumentation
 */
import type { ConnectionStatus, Gap, SSEEvent, Unsubscribe } from "./index.ts";
import { Fold, type Reducer } from "./store/fold.ts";
import type { StreamOptions } from "./store/options.ts";
import { createShare } from "./store/share.ts";
import type { Subscription } from "./store/subscription.ts";

export type { StreamOptions } from "./store/options.ts";
export type { Reducer } from "./store/fold.ts";

/** As Svelte has it. */
export interface Readable<T> {
  /** Calls `run` at once and with each change, until what it returns is called. */
  subscribe(run: (value: T) => void): Unsubscribe;
}

/** The status of a stream, and its events. */
export interface SSEStore
  extends Readable<ConnectionStatus>,
    Pick<Subscription, "addEventListener" | "connect" | "disconnect" | "reconnect"> {
  /** Takes over other options. What means another stream moves over, anything else reconnects nobody. */
  setOptions(options: StreamOptions<any>): void;
}

/** The status of a stream as a store. It connects with its first subscriber, never on a server, and closes with the last. */
export function sseStore(options: StreamOptions<any>): SSEStore {
  const { subscription, apply, end } = createShare(options.enabled);
  const { addEventListener, connect, disconnect, reconnect } = subscription;
  let current = options;
  let subscribers = 0;
  return {
    subscribe(run) {
      const off = subscription.subscribe(() => run(subscription.status()));
      subscribers++;
      if (subscribers === 1 && isBrowser()) apply(current);
      run(subscription.status());
      let isLeft = false;
      return () => {
        if (isLeft) return;
        isLeft = true;
        off();
        subscribers--;
        if (!subscribers) end();
      };
    },
    setOptions(other) {
      current = other;
      if (subscribers) apply(other);
    },
    addEventListener,
    connect,
    disconnect,
    reconnect,
  };
}

/** What the gaps amount to, as a store that changes once a frame at most. */
export function sseState<S>(type: "gap", reducer: Reducer<S, Gap>, initial: S, options: StreamOptions<any>): Readable<S>;
/** What the events of one type amount to, as a store that changes once a frame at most. */
export function sseState<S, T = unknown>(
  type: string,
  reducer: Reducer<S, T>,
  initial: S,
  options: StreamOptions<any>,
): Readable<S>;
export function sseState<S>(type: string, reducer: Reducer<S, any>, initial: S, options: StreamOptions<any>): Readable<S> {
  const fold = new Fold(reducer, initial);
  const store = sseStore(options);
  store.addEventListener(type, (event: SSEEvent<any>) => fold.take(event));
  return {
    subscribe(run) {
      const offs = [fold.subscribe(() => run(fold.snapshot())), store.subscribe(() => {})];
      run(fold.snapshot());
      return () => offs.forEach((off) => off());
    },
  };
}

/** A page that is rendered on a server subscribes and leaves at once: nothing is to be begun there. */
function isBrowser(): boolean {
  return "document" in globalThis;
}
