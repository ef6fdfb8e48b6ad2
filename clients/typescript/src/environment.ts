import { ledger } from "./ledger.ts";

/** Time, as the client reads it. Milliseconds throughout. */
export interface Clock {
  /** Wall time, so that a suspended machine is noticed. */
  now(): number;
  /** Calls back once, as the global one does; what it returns is given to `clearTimeout`. */
  setTimeout(callback: () => void, milliseconds: number): unknown;
  /** Takes a timer back. */
  clearTimeout(handle: any): void;
}

/** As much of a page (or worker) as the client looks at. The global object is one; so is any `EventTarget`. */
export interface Page {
  /** As of an `EventTarget`. */
  addEventListener?(type: string, listener: () => void): void;
  /** As of an `EventTarget`. */
  removeEventListener?(type: string, listener: () => void): void;
  readonly document?: (Page & { readonly visibilityState?: string }) | undefined;
  readonly navigator?: { readonly onLine?: boolean } | undefined;
}

/** One timer that is counted. Setting it again moves it. */
export interface Timer {
  set(milliseconds: number): void;
  clear(): void;
}

/** The time of one client. */
export interface Time {
  /** Wall time, for dates of a server. */
  wall(): number;
  /** How much time has passed since it was made, also while the machine slept. It never goes back, as a wall clock may when it is set. */
  now(): number;
  createTimer(callback: () => void): Timer;
}

/**
 * @param clock instead of the global timers and `Date.now`, which are looked up at each call: tests replace them
 * @param keepAlive whether a timer keeps a Node.js process alive
 */
export function createTime(clock?: Clock, keepAlive = true): Time {
  const wall = (): number => (clock ?? Date).now();
  const timers: Omit<Clock, "now"> = clock ?? globalThis;
  let last = wall();
  let passed = 0;
  return {
    wall,
    now() {
      const now = wall();
      passed += Math.max(now - last, 0);
      last = now;
      return passed;
    },
    createTimer(callback) {
      let handle: any;
      const clear = (): void => {
        if (handle === undefined) return;
        timers.clearTimeout(handle);
        handle = undefined;
        ledger.timers--;
      };
      const fire = (): void => {
        clear();
        callback();
      };
      return {
        clear,
        set(milliseconds) {
          clear();
          ledger.timers++;
          handle = timers.setTimeout(fire, Math.max(milliseconds, 0));
          if (!keepAlive) handle.unref?.();
        },
      };
    },
  };
}

/** Calls back when `signal` is aborted, at once if it is already; what it returns takes the listener back, once. */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (!signal?.aborted) return listen(signal, "abort", callback);
  callback();
  return () => {};
}

/** Adds a listener that is counted; what it returns takes it back, once. */
export function listen(target: Page | AbortSignal | undefined, type: string, listener: () => void): () => void {
  let count = target ? 1 : 0;
  target?.addEventListener?.(type, listener);
  ledger.listeners += count;
  return () => {
    target?.removeEventListener?.(type, listener);
    ledger.listeners -= count;
    count = 0;
  };
}
