import { RETRY_AFTER_MAX, RETRY_BASE, RETRY_MAX, RETRY_MIN, TIMER_MAX } from "./limits.ts";

/** Options that decide how long a back-off is; read anew for each delay. */
export interface BackoffOptions {
  readonly retryDelay?: number | undefined;
  readonly maxRetryDelay?: number | undefined;
  readonly random?: (() => number) | undefined;
}

/** How long to wait after failures in a row. Arithmetic only. */
export interface Backoff {
  /** Failures in a row. */
  failures: number;
  /** The server's `retry:`, milliseconds, if it named one. */
  retry?: number;
  /** The longest delay without a `Retry-After`, milliseconds. */
  max(): number;
  /** The delay before the next attempt, milliseconds; counts a failure. A `Retry-After` is waited out in full. */
  next(retryAfter?: number): number;
}

/**
 * Full-jitter back-off: a delay is drawn evenly between a floor and a ceiling that doubles with each failure in
 * a row, so that thousands of clients that were cut off at once come back spread out.
 */
export function createBackoff(options: BackoffOptions): Backoff {
  const max = (): number => clamp(options.maxRetryDelay ?? RETRY_MAX, TIMER_MAX);
  const backoff: Backoff = {
    failures: 0,
    max,
    next(retryAfter = 0) {
      const { retryDelay = RETRY_BASE, random = Math.random } = options;
      const base = clamp(backoff.retry ?? retryDelay, max());
      const ceiling = clamp(base * 2 ** backoff.failures++, max());
      return retryAfter > 0
        ? clamp(retryAfter, RETRY_AFTER_MAX) + base * random()
        : RETRY_MIN + (ceiling - RETRY_MIN) * random();
    },
  };
  return backoff;
}

function clamp(milliseconds: number, ceiling: number): number {
  return Math.max(Math.min(milliseconds, ceiling), RETRY_MIN);
}
