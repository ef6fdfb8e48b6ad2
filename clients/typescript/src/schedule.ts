import { Backoff, type BackoffOptions } from "./backoff.ts";
import type { Time, Timer } from "./environment.ts";
import { RETRY_MIN } from "./limits.ts";

/** When the next attempt begins: a back-off with one deadline, which whatever happens only moves. Knows no socket. */
export class Schedule extends Backoff {
  readonly #time: Time;
  readonly #timer: Timer;
  readonly #begin: () => void;
  /** Nothing hastens an attempt to before this moment: the server's wish, or the shortest pause. */
  #earliest = -Infinity;

  constructor(time: Time, options: BackoffOptions, begin: () => void) {
    super(options);
    this.#time = time;
    this.#timer = time.createTimer(begin);
    this.#begin = begin;
  }

  /** The next attempt begins after so long. */
  wait(milliseconds: number): void {
    this.#timer.set(milliseconds);
  }

  /**
   * An attempt failed: the next one follows the back-off.
   *
   * @param rarely more milliseconds to wait, because nobody looks
   * @returns how long it waits, milliseconds
   */
  again(retryAfter: number | undefined, rarely: number): number {
    const delay = this.next(retryAfter);
    this.#earliest = this.#time.now() + (retryAfter ? delay : RETRY_MIN);
    this.wait(delay + rarely);
    return delay + rarely;
  }

  /** Something suggests that an attempt may work now. It comes at once, but not against the server's wish. */
  hasten(): void {
    const delay = this.#earliest - this.#time.now();
    if (delay > 0) this.wait(delay);
    else this.#begin();
  }

  /** No attempt is to come. */
  clear(): void {
    this.#timer.clear();
  }

  /** All that was asked for or went wrong before is forgotten, but not the server's `retry:`. */
  reset(earliest = -Infinity): void {
    this.clear();
    this.failures = 0;
    this.#earliest = earliest;
  }
}
