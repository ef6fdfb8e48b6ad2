import { ledger } from "./ledger.ts";

/** Time, as the client reads it. Milliseconds throughout. */
export interface Clock {
  /** Wall time, so that a suspended machine is noticed. */
  now(): number;
  setTimeout(callback: () => void, milliseconds: number): unknown;
  clearTimeout(handle: unknown): void;
}

/** As much of a page (or worker) as the client looks at. The global object is one; so is any `EventTarget`. */
export interface Page {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
  readonly document?: Page & { readonly visibilityState?: string } | undefined;
  readonly navigator?: { readonly onLine?: boolean } | undefined;
}

const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: (handle) => clearTimeout(handle as ReturnType<typeof setTimeout>),
};

/** The longest delay that `setTimeout` takes; a longer one fires at once. */
const TIMEOUT_MAX = 2 ** 31 - 1;

/** One timer that is counted. Setting it again moves it. */
export class Timer {
  #clock: Clock;
  #keepAlive: boolean;
  #handle: unknown;

  constructor(clock: Clock = systemClock, keepAlive = true) {
    this.#clock = clock;
    this.#keepAlive = keepAlive;
  }

  now(): number {
    return this.#clock.now();
  }

  get pending(): boolean {
    return this.#handle !== undefined;
  }

  set(milliseconds: number, callback: () => void): void {
    this.clear();
    ledger.timers++;
    this.#handle = this.#clock.setTimeout(() => {
      this.#handle = undefined;
      ledger.timers--;
      callback();
    }, Math.min(Math.max(milliseconds, 0), TIMEOUT_MAX));
    if (!this.#keepAlive) (this.#handle as { unref?(): void }).unref?.();
  }

  clear(): void {
    if (this.#handle === undefined) return;
    this.#clock.clearTimeout(this.#handle);
    this.#handle = undefined;
    ledger.timers--;
  }
}

/** Adds a listener that is counted; what it returns takes it back, once. */
export function listen(target: Page | AbortSignal | undefined, type: string, listener: () => void): () => void {
  if (!target?.addEventListener) return () => {};
  target.addEventListener(type, listener);
  ledger.listeners++;
  let on = true;
  return () => {
    if (!on) return;
    on = false;
    ledger.listeners--;
    target.removeEventListener?.(type, listener);
  };
}
