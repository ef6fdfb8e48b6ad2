import { Backoff, type BackoffOptions } from "./backoff.ts";
import type { Time, Timer } from "./environment.ts";
import { RETRY_MIN } from "./limits.ts";

/** When the next attempt begins: one deadline, which whatever happens only moves. Knows no socket. */
export class Schedule {
  readonly backoff: Backoff;
  readonly #time: Time;
  readonly #timer: Timer;
  readonly #begin: () => void;
  /** When the last attempt failed. */
  #failedAt = -Infinity;
  /** The server wants no attempt before this moment. */
  #notBefore = -Infinity;

  constructor(time: Time, options: BackoffOptions, begin: () => void) {
    this.#time = time;
    this.#timer = time.createTimer();
    this.backoff = new Backoff(options);
    this.#begin = begin;
  }

  /** The next attempt begins after so long. */
  wait(milliseconds: number): void {
    this.#timer.set(milliseconds, this.#begin);
  }

  /**
   * An attempt failed: the next one follows the back-off, or at once if another way is known to work.
   *
   * @param rarely more milliseconds to wait, because nobody looks
   * @returns how long it waits, milliseconds
   */
  retry(retryAfter: number | undefined, rarely: number): number {
    const now = this.#time.now();
    const delay = this.backoff.next(retryAfter);
    const milliseconds = delay + rarely;
    this.#failedAt = now;
    this.#notBefore = retryAfter ? now + delay : -Infinity;
    this.wait(milliseconds);
    return milliseconds;
  }

  /** Something suggests that an attempt may work now. It comes at once, but not against the server's wish. */
  hasten(): void {
    const now = this.#time.now();
    const delay = Math.max(this.#notBefore, this.#failedAt + RETRY_MIN) - now;
    if (delay > 0) this.wait(delay);
    else this.#begin();
  }

  /** No attempt is to come. */
  clear(): void {
    this.#timer.clear();
  }

  /** All that was asked for or went wrong before is forgotten, but not the server's `retry:`. */
  reset(): void {
    this.clear();
    this.backoff.failures = 0;
    this.#failedAt = this.#notBefore = -Infinity;
  }
}
