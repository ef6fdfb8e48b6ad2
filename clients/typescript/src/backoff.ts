import { RETRY_AFTER_MAX, RETRY_BASE, RETRY_MAX, RETRY_MIN, TIMER_MAX } from "./limits.ts";

/**
 * Full-jitter back-off: a delay is drawn evenly between a floor and a ceiling that doubles with each failure in
 * a row, so that thousands of clients that were cut off at once come back spread out. Arithmetic only.
 */
export interface Backoff {
  /** Failures in a row. */
  failures: number;
  /** The longest delay without a `Retry-After`, milliseconds. */
  readonly max: number;
  /** Takes the server's `retry:` as the new base, milliseconds, clamped at both ends. */
  retry(milliseconds: number): void;
  /** The delay before the next attempt, milliseconds; counts a failure. A `Retry-After` is waited out in full. */
  next(retryAfter?: number): number;
}

export function createBackoff(base = RETRY_BASE, max = RETRY_MAX, random: () => number = Math.random): Backoff {
  const clamp = (milliseconds: number, ceiling = max): number => Math.max(Math.min(milliseconds, ceiling, TIMER_MAX), RETRY_MIN);
  return {
    failures: 0,
    max: clamp(max),
    retry(milliseconds) {
      base = milliseconds;
    },
    next(retryAfter = 0) {
      const ceiling = clamp(clamp(base) * 2 ** this.failures++);
      return retryAfter > 0
        ? clamp(retryAfter, RETRY_AFTER_MAX) + clamp(base) * random()
        : RETRY_MIN + (ceiling - RETRY_MIN) * random();
    },
  };
}
