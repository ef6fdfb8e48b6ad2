import { RETRY_AFTER_MAX, RETRY_BASE, RETRY_MAX, RETRY_MIN, TIMER_MAX } from "./limits.ts";

/** Options that decide how long a back-off is; read anew for each delay. */
export interface BackoffOptions {
  readonly retryDelay?: number | undefined;
  readonly maxRetryDelay?: number | undefined;
  readonly random?: (() => number) | undefined;
}

/**
 * Full-jitter back-off: a delay is drawn evenly between a floor and a ceiling that doubles with each failure in
 * a row, so that thousands of clients that were cut off at once come back spread out. Arithmetic only.
 */
export class Backoff {
  /** Failures in a row. */
  failures = 0;
  /** The server's `retry:`, milliseconds, if it named one. */
  retry: number | undefined;
  readonly #options: BackoffOptions;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** The longest delay without a `Retry-After`, milliseconds. */
  get max(): number {
    return clamp(this.#options.maxRetryDelay ?? RETRY_MAX, TIMER_MAX);
  }

  /** The delay before the next attempt, milliseconds; counts a failure. A `Retry-After` is waited out in full. */
  next(retryAfter = 0): number {
    const { retryDelay = RETRY_BASE, random = Math.random } = this.#options;
    const base = clamp(this.retry ?? retryDelay, this.max);
    const ceiling = clamp(base * 2 ** this.failures++, this.max);
    return retryAfter > 0
      ? clamp(retryAfter, RETRY_AFTER_MAX) + base * random()
      : RETRY_MIN + (ceiling - RETRY_MIN) * random();
  }
}

function clamp(milliseconds: number, ceiling: number): number {
  return Math.max(Math.min(milliseconds, ceiling), RETRY_MIN);
}
