import type { SSEError } from "./errors.ts";
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

/**
 * Which way to ask next: by stream, or by long-poll where no stream gets through. Pure: knows no socket and no clock. The
 * twin of the Rust client's; `clients/cases/reconnect-cases.json` drives both. Times are milliseconds of a clock that never
 * goes back.
 */
export class Fallback {
  /** Whether the application wants long-polls. May change at any time. */
  isEnabled = true;
  /** What was decided last. */
  next = STREAM;
  /** Events come by long-poll at present: those are answered, while streams are given up. */
  isPolling = false;
  /** Attempts in a row in which no stream proved itself. */
  #silentStreams = 0;
  /** Streams are given up for now. */
  #isGivenUp = false;
  /** When one is tried again, and how long after the last try. */
  #probeAt = 0;
  #probeDelay = PROBE_MIN;
  /** Whoever answered knew no long-polls: they are not tried before this moment. */
  #pollsFrom = 0;
  #pollsDelay = 0;

  /** A stream brought bytes, and ended otherwise than by silence; or was well for long. */
  streamWorked(): Next {
    this.#silentStreams = 0;
    return this.#tryStreams();
  }

  /** A stream failed before it proved itself. */
  streamFailed({ kind, retryAfter }: Pick<SSEError, "kind" | "retryAfter">, now: number): Next {
    this.next = STREAM;
    if (!this.isEnabled) return STREAM;
    if (!this.#isGivenUp) {
      // Whoever says when to come back keeps nothing back.
      if (retryAfter) return STREAM;
      this.#silentStreams++;
      if (this.#silentStreams < FALLBACK_AFTER || now < this.#pollsFrom) return STREAM;
    }
    this.#isGivenUp = true;
    const isAtOnce = this.isPolling;
    if (isAtOnce) this.#probeDelay = Math.min(this.#probeDelay * 2, PROBE_MAX);
    // One that was silent until its time was up may be kept back on the way. Where streams were refused instead, the way may be
    // free as soon as anything gets through.
    this.#probeAt = isAtOnce || kind === "timeout" ? now + this.#probeDelay : now;
    return (this.next = { way: "poll", isAtOnce });
  }

  /** A long-poll was answered. */
  pollAnswered(now: number): Next {
    this.isPolling = this.isEnabled && this.#isGivenUp;
    if (this.isPolling) this.#pollsDelay = 0;
    return (this.next = { way: this.isPolling && now < this.#probeAt ? "poll" : "stream", isAtOnce: true });
  }

  /** A long-poll failed: neither way is better than the other, so they take turns. */
  pollFailed(): Next {
    this.isPolling = false;
    return (this.next = STREAM);
  }

  /**
   * Whoever answered a long-poll knows none. If long-polls were answered before, somebody else has spoken: a failure like any
   * other. If not, streams go on alone, and long-polls are tried again after ever longer pauses.
   */
  pollNotUnderstood(now: number): Next {
    if (this.isPolling) return this.pollFailed();
    this.#pollsDelay = Math.min(this.#pollsDelay * 2 || POLL_AGAIN_MIN, POLL_AGAIN_MAX);
    this.#pollsFrom = now + this.#pollsDelay;
    return this.#tryStreams();
  }

  #tryStreams(): Next {
    this.#isGivenUp = false;
    this.#probeDelay = PROBE_MIN;
    return this.pollFailed();
  }
}
