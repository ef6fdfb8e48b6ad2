import { ledger } from "../ledger.ts";
import type { SSEEvent, Unsubscribe } from "../index.ts";

/** What events amount to. */
export type Reducer<S, T> = (state: S, data: T, event: SSEEvent<T>) => S;

/** A state that events are folded into at once, and that is shown once a frame at most: a thousand events are one render. */
export class Fold<S> {
  /** The latest one: it need not be memoised. */
  reducer: Reducer<S, any>;
  #state: S;
  #shown: S;
  readonly #listeners = new Set<() => void>();
  #cancel: Unsubscribe | undefined;

  constructor(reducer: Reducer<S, any>, initial: S) {
    this.reducer = reducer;
    this.#state = this.#shown = initial;
  }

  readonly take = (event: SSEEvent<any>): void => {
    const state = this.reducer(this.#state, event.data, event);
    if (Object.is(state, this.#state)) return;
    this.#state = state;
    if (this.#listeners.size) this.#cancel ??= onNextFrame(() => this.#show());
  };

  /** Begins anew: another stream, or events of another type. */
  reset(initial: S): void {
    this.#state = initial;
    this.#show();
  }

  /** What is shown. */
  readonly snapshot = (): S => this.#shown;

  readonly subscribe = (onChange: () => void): Unsubscribe => {
    this.#listeners.add(onChange);
    if (!Object.is(this.#shown, this.#state)) this.#cancel ??= onNextFrame(() => this.#show());
    return () => {
      this.#listeners.delete(onChange);
      if (!this.#listeners.size) this.#stop();
    };
  };

  #show(): void {
    this.#stop();
    if (Object.is(this.#shown, this.#state)) return;
    this.#shown = this.#state;
    for (const listener of [...this.#listeners]) listener();
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}

/** Calls back before the next frame is painted; where nothing is painted, soon. What it returns takes that back. */
function onNextFrame(callback: () => void): Unsubscribe {
  ledger.timers++;
  const hasFrames = typeof requestAnimationFrame === "function";
  const handle = hasFrames ? requestAnimationFrame(callback) : setTimeout(callback, 16);
  return () => {
    ledger.timers--;
    if (hasFrames) cancelAnimationFrame(handle as number);
    else clearTimeout(handle as ReturnType<typeof setTimeout>);
  };
}
