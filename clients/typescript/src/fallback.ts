import { FALLBACK_AFTER, POLL_AGAIN_MAX, POLL_AGAIN_MIN, PROBE_MAX, PROBE_MIN } from "./limits.ts";

/** How a request asks for events. */
export type Way = "stream" | "poll";

/** How to go on after a failure. */
export interface Next {
  readonly way: Way;
  /** Whether that way is known to work, so that there is nothing to wait for. */
  readonly isAtOnce: boolean;
}

/** Where no long-poll is wanted, or helps: a stream, after the back-off. */
export const STREAM: Next = { way: "stream", isAtOnce: false };

/** What is known of a stream that failed before it proved itself. */
export interface StreamFailure {
  /** It was silent until the time was up: somebody on the way may keep streams back. */
  readonly isHeldBack: boolean;
  /** The server said when to come back: whoever speaks so keeps nothing back. */
  readonly hasRetryAfter: boolean;
}

/**
 * Which way to ask next: by stream, or by long-poll where no stream gets through. Pure: knows no socket and no clock. The
 * twin of the Rust client's; `clients/cases/reconnect-cases.json` drives both. Times are milliseconds of a clock that never
 * goes back.
 */
export class Fallback {
  /** Whether the application wants long-polls. May change at any time. */
  isEnabled = true;
  /** Attempts in a row in which no stream proved itself. */
  #silentStreams = 0;
  /** There while streams are given up for now: when one is tried again, how long after the last try, and whether polls work. */
  #givenUp: { probeAt: number; probeDelay: number; isWorking: boolean } | undefined;
  /** Whoever answered knew no long-polls: they are not tried before this moment. */
  #pollsFrom = 0;
  #pollsDelay = 0;

  /** Events come by long-poll at present. */
  get isPolling(): boolean {
    return this.#givenUp?.isWorking ?? false;
  }

  /** A stream brought bytes, and ended otherwise than by silence; or was well for long. */
  streamWorked(): Next {
    this.#silentStreams = 0;
    this.#givenUp = undefined;
    return STREAM;
  }

  streamFailed({ isHeldBack, hasRetryAfter }: StreamFailure, now: number): Next {
    if (!this.isEnabled) return STREAM;
    if (!this.#givenUp) {
      if (hasRetryAfter) return STREAM;
      this.#silentStreams++;
      if (this.#silentStreams < FALLBACK_AFTER || now < this.#pollsFrom) return STREAM;
    }
    const known = (this.#givenUp ??= { isWorking: false, probeDelay: PROBE_MIN, probeAt: now });
    if (known.isWorking) known.probeDelay = Math.min(known.probeDelay * 2, PROBE_MAX);
    // Where streams were refused, not kept back, the way may be free as soon as anything gets through.
    known.probeAt = known.isWorking || isHeldBack ? now + known.probeDelay : now;
    return { way: "poll", isAtOnce: known.isWorking };
  }

  /** A long-poll was answered. */
  pollAnswered(now: number): Next {
    if (!this.isEnabled || !this.#givenUp) return { way: "stream", isAtOnce: true };
    this.#givenUp.isWorking = true;
    this.#pollsDelay = 0;
    return { way: now < this.#givenUp.probeAt ? "poll" : "stream", isAtOnce: true };
  }

  /** A long-poll failed: neither way is better than the other, so they take turns. */
  pollFailed(): Next {
    if (this.#givenUp) this.#givenUp.isWorking = false;
    return STREAM;
  }

  /**
   * Whoever answered a long-poll knows none. If long-polls were answered before, somebody else has spoken: a failure like any
   * other. If not, streams go on alone, and long-polls are tried again after ever longer pauses.
   */
  pollNotUnderstood(now: number): Next {
    if (this.isPolling) return this.pollFailed();
    this.#pollsDelay = Math.min(this.#pollsDelay * 2 || POLL_AGAIN_MIN, POLL_AGAIN_MAX);
    this.#pollsFrom = now + this.#pollsDelay;
    this.#givenUp = undefined;
    return STREAM;
  }
}
