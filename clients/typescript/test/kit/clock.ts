import type { Clock } from "../../src/environment.ts";

interface Entry {
  at: number;
  callback: () => void;
}

/** Time that stands still until a test moves it. Remembers every delay that was asked for. */
export class FakeClock implements Clock {
  readonly delays: number[] = [];
  #now = 1_700_000_000_000;
  #offset = 0;
  #last = 0;
  #timers = new Map<number, Entry>();

  now(): number {
    return this.#now + this.#offset;
  }

  /** Sets the wall clock, by so many milliseconds; no timer heeds it. */
  setWall(milliseconds: number): void {
    this.#offset += milliseconds;
  }

  setTimeout(callback: () => void, milliseconds: number): unknown {
    this.delays.push(milliseconds);
    this.#timers.set(++this.#last, { at: this.#now + milliseconds, callback });
    return this.#last;
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle as number);
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** How long until the first of them. */
  get next(): number {
    return Math.min(...[...this.#timers.values()].map(({ at }) => at - this.#now));
  }

  /** Lets time pass, timer by timer. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const [handle, entry] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (!entry || handle === undefined || entry.at > end) break;
      this.#timers.delete(handle);
      this.#now = Math.max(this.#now, entry.at);
      entry.callback();
    }
    this.#now = end;
  }

  /** The machine slept: time has passed, and the timers that are due fire only now. */
  sleep(milliseconds: number): void {
    this.#now += milliseconds;
    this.advance(0);
  }
}
