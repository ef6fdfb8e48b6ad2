import type { Clock } from "../index.ts";
import { settle } from "./settle.ts";

/** Time that stands still until a test moves it. Milliseconds. */
export interface ManualClock extends Clock {
  /** How many timers wait. */
  readonly pending: number;
  /** How long until the first of them, milliseconds; `Infinity` if none waits. */
  readonly next: number;
  /**
   * Lets time pass: each timer fires at its moment, and everything it sets off happens (promises, streams) before the next
   * one does. Resolves when all is quiet.
   */
  advance(milliseconds: number): Promise<void>;
  /** The machine slept: time has passed, and what is due fires only now, at once. */
  sleep(milliseconds: number): Promise<void>;
}

/**
 * A clock for the `clock` option of clients, hooks and the memory hub.
 *
 * @param start What `now` says at first, milliseconds since 1970. Default: the first of January 2026.
 */
export function createClock(start: number = Date.UTC(2026, 0, 1)): ManualClock {
  let now = start;
  let last = 0;
  const timers = new Map<number, { at: number; callback: () => void }>();

  /** Of those that are due at the same moment, the one that was set first. */
  const first = (): [number, { at: number; callback: () => void }] | undefined => {
    const [earliest, ...others] = timers;
    return others.reduce((best, timer) => (best && timer[1].at < best[1].at ? timer : best), earliest);
  };

  const advance = async (milliseconds: number): Promise<void> => {
    const end = now + milliseconds;
    await settle();
    for (let timer = first(); timer && timer[1].at <= end; timer = first()) {
      const [handle, { at, callback }] = timer;
      timers.delete(handle);
      now = Math.max(now, at);
      callback();
      await settle();
    }
    now = Math.max(now, end);
  };

  return {
    now: () => now,
    setTimeout(callback, milliseconds) {
      timers.set(++last, { at: now + milliseconds, callback });
      return last;
    },
    clearTimeout(handle) {
      timers.delete(handle as number);
    },
    get pending() {
      return timers.size;
    },
    get next() {
      return (first()?.[1].at ?? Infinity) - now;
    },
    advance,
    sleep(milliseconds) {
      now += milliseconds;
      return advance(0);
    },
  };
}
