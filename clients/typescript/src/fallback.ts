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
  /** What was decided last. */
  next = STREAM;
  /** Attempts in a row in which no stream proved itself. */
  #silentStreams = 0;
  /** Streams are given up for now. */
  #isGivenUp = false;
  /** When one is tried again, and how long after the last try. */
  #probeAt = 0;
  #probeDelay = PROBE_MIN;
  /** Long-polls are answered while streams are given up. */
  #arePollsWorking = false;
  /** Whoever answered knew no long-polls: they are not tried before this moment. */
  #pollsFrom = 0;
  #pollsDelay = 0;

  /** Events come by long-poll at present. */
  get isPolling(): boolean {
    return this.#arePollsWorking;
  }

  /** A stream brought bytes, and ended otherwise than by silence; or was well for long. */
  streamWorked(): Next {
    this.#silentStreams = 0;
    return this.#tryStreams();
  }

  streamFailed({ isHeldBack, hasRetryAfter }: StreamFailure, now: number): Next {
    this.next = STREAM;
    if (!this.isEnabled) return STREAM;
    if (!this.#isGivenUp) {
      if (hasRetryAfter) return STREAM;
      this.#silentStreams++;
      if (this.#silentStreams < FALLBACK_AFTER || now < this.#pollsFrom) return STREAM;
    }
    this.#isGivenUp = true;
    const isAtOnce = this.#arePollsWorking;
    if (isAtOnce) this.#probeDelay = Math.min(this.#probeDelay * 2, PROBE_MAX);
    // Where streams were refused, not kept back, the way may be free as soon as anything gets through.
    this.#probeAt = isAtOnce || isHeldBack ? now + this.#probeDelay : now;
    return (this.next = { way: "poll", isAtOnce });
  }

  /** A long-poll was answered. */
  pollAnswered(now: number): Next {
    this.#arePollsWorking = this.isEnabled && this.#isGivenUp;
    if (this.#arePollsWorking) this.#pollsDelay = 0;
    return (this.next = { way: this.#arePollsWorking && now < this.#probeAt ? "poll" : "stream", isAtOnce: true });
  }

  /** A long-poll failed: neither way is better than the other, so they take turns. */
  pollFailed(): Next {
    this.#arePollsWorking = false;
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
