import { RETRY_AFTER_MAX, RETRY_BASE, RETRY_MAX, RETRY_MIN } from "./limits.ts";

/**
 * Full-jitter back-off: a delay is drawn evenly between a floor and a ceiling that doubles with each failure in
 * a row, so that thousands of clients that were cut off at once come back spread out. Arithmetic only.
 */
export class Backoff {
  /** Failures in a row. */
  failures = 0;
  #base: number;
  #max: number;
  #random: () => number;

  constructor(base = RETRY_BASE, max = RETRY_MAX, random: () => number = Math.random) {
    this.#max = Math.max(max, RETRY_MIN);
    this.#random = random;
    this.#base = this.#clamp(base);
  }

  /** Takes the server's `retry:` as the new base, clamped at both ends. */
  set base(milliseconds: number) {
    this.#base = this.#clamp(milliseconds);
  }

  /** The longest delay without a `Retry-After`, milliseconds. */
  get max(): number {
    return this.#max;
  }

  /** The delay before the next attempt, milliseconds; counts a failure. A `Retry-After` is waited out in full. */
  next(retryAfter?: number): number {
    const ceiling = Math.min(this.#max, this.#base * 2 ** Math.min(this.failures, 20));
    this.failures++;
    return retryAfter === undefined
      ? RETRY_MIN + (ceiling - RETRY_MIN) * this.#random()
      : Math.min(Math.max(retryAfter, RETRY_MIN), RETRY_AFTER_MAX) + this.#base * this.#random();
  }

  #clamp(milliseconds: number): number {
    return Math.min(Math.max(milliseconds, RETRY_MIN), this.#max);
  }
}
