import { createBackoff, type Backoff, type BackoffOptions } from "./backoff.ts";
import type { Time } from "./environment.ts";
import { RETRY_MIN } from "./limits.ts";

/** When the next attempt begins: one deadline, which whatever happens only moves. Knows no socket. */
export interface Schedule {
  readonly backoff: Backoff;
  /** The next attempt begins after so long. */
  wait(milliseconds: number): void;
  /**
   * An attempt failed: the next one follows the back-off.
   *
   * @param rarely more milliseconds to wait, because nobody looks
   * @returns how long it waits, milliseconds
   */
  again(retryAfter: number | undefined, rarely: number): number;
  /** Something suggests that an attempt may work now. It comes at once, but not against the server's wish. */
  hasten(): void;
  /** No attempt is to come. */
  clear(): void;
  /** All that was asked for or went wrong before is forgotten, but not the server's `retry:`. */
  reset(earliest?: number): void;
}

export function createSchedule(time: Time, options: BackoffOptions, begin: () => void): Schedule {
  const backoff = createBackoff(options);
  const { set: wait, clear } = time.createTimer(begin);
  /** Nothing hastens an attempt to before this moment: the server's wish, or the shortest pause. The client's time begins at 0. */
  let earliest = 0;
  return {
    backoff,
    wait,
    clear,
    again(retryAfter, rarely) {
      const delay = backoff.next(retryAfter);
      earliest = time.now() + (retryAfter ? delay : RETRY_MIN);
      wait(delay + rarely);
      return delay + rarely;
    },
    hasten() {
      const delay = earliest - time.now();
      if (delay > 0) wait(delay);
      else begin();
    },
    reset(from = 0) {
      clear();
      backoff.failures = 0;
      earliest = from;
    },
  };
}
