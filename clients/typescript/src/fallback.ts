import type { Outcome } from "./attempt.ts";
import type { SSEError } from "./errors.ts";
import { FALLBACK_AFTER, POLL_AGAIN_MAX, POLL_AGAIN_MIN, PROBE_MAX, PROBE_MIN } from "./limits.ts";
import type { SSEClientOptions } from "./types.ts";

/** How a request asks for events. */
export type Way = "stream" | "poll";

/** How to go on after an attempt. */
export interface Next {
  readonly way: Way;
  /** Whether that way is known to work, so that there is nothing to wait for. */
  readonly isAtOnce: boolean;
}

/** Where no long-poll is wanted, or helps: a stream, after the back-off. */
export const STREAM: Next = { way: "stream", isAtOnce: false };

type Failure = Pick<SSEError, "kind" | "retryable" | "retryAfter">;

/** As much of how an attempt ended as is looked at here. Without a failure a long-poll was answered. */
export interface Ended extends Pick<Outcome, "way" | "hasStreamed"> {
  readonly failure: Failure | undefined;
}

/**
 * Which way to ask next: by stream, or by long-poll where no stream gets through. Knows no socket and no clock. The
 * twin of the Rust client's; `clients/cases/reconnect-cases.json` drives both. Times are milliseconds of a clock that never
 * goes back.
 */
export interface Fallback {
  /** What was decided last. */
  next: Next;
  /** The way of the next request: a stream where the application wants no long-polls (any more). */
  readonly way: Way;
  /** Events come by long-poll at present: those are answered, while streams are given up. */
  isPolling: boolean;
  /** An attempt has ended, and the client goes on. */
  after(ended: Ended, now: number): Next;
}

export function createFallback(options: SSEClientOptions<any>): Fallback {
  /** Attempts in a row in which no stream proved itself. */
  let silentStreams = 0;
  /** Streams are given up for now. */
  let isGivenUp = false;
  /** When one is tried again, and how long after the last try. */
  let probeAt = 0;
  let probeDelay = PROBE_MIN;
  /** Whoever answered knew no long-polls: they are not tried before this moment. */
  let pollsFrom = 0;
  let pollsDelay = 0;

  /** Whether the application wants long-polls. May change at any time. */
  const isEnabled = (): boolean => options.enablePollingFallback ?? options.url === undefined;

  const tryStreams = (): Next => {
    isGivenUp = false;
    probeDelay = PROBE_MIN;
    return pollFailed();
  };

  /** A stream brought bytes, and ended otherwise than by silence; or was well for long. */
  const streamWorked = (): Next => {
    silentStreams = 0;
    return tryStreams();
  };

  /** A stream failed before it proved itself. */
  const streamFailed = ({ kind, retryAfter }: Failure, now: number): Next => {
    if (!isEnabled()) return STREAM;
    if (!isGivenUp) {
      // Whoever says when to come back keeps nothing back.
      if (retryAfter) return STREAM;
      silentStreams++;
      if (silentStreams < FALLBACK_AFTER || now < pollsFrom) return STREAM;
    }
    isGivenUp = true;
    const isAtOnce = fallback.isPolling;
    if (isAtOnce) probeDelay = Math.min(probeDelay * 2, PROBE_MAX);
    // One that was silent until its time was up may be kept back on the way. Where streams were refused instead, the way may be
    // free as soon as anything gets through.
    probeAt = isAtOnce || kind === "timeout" ? now + probeDelay : now;
    return { way: "poll", isAtOnce };
  };

  const pollAnswered = (now: number): Next => {
    fallback.isPolling = isEnabled() && isGivenUp;
    if (fallback.isPolling) pollsDelay = 0;
    return { way: fallback.isPolling && now < probeAt ? "poll" : "stream", isAtOnce: true };
  };

  /** A long-poll failed: neither way is better than the other, so they take turns. */
  const pollFailed = (): Next => {
    fallback.isPolling = false;
    return STREAM;
  };

  /**
   * Whoever answered a long-poll knows none. If long-polls were answered before, somebody else has spoken: a failure like any
   * other. If not, streams go on alone, and long-polls are tried again after ever longer pauses.
   */
  const pollNotUnderstood = (now: number): Next => {
    if (fallback.isPolling) return pollFailed();
    pollsDelay = Math.min(pollsDelay * 2 || POLL_AGAIN_MIN, POLL_AGAIN_MAX);
    pollsFrom = now + pollsDelay;
    return tryStreams();
  };

  const decide = ({ way, failure, hasStreamed }: Ended, now: number): Next => {
    if (!failure) return pollAnswered(now);
    if (hasStreamed) return streamWorked();
    if (way === "stream") return streamFailed(failure, now);
    return failure.retryable ? pollFailed() : pollNotUnderstood(now);
  };

  const fallback: Fallback = {
    next: STREAM,
    isPolling: false,
    get way() {
      return isEnabled() ? fallback.next.way : "stream";
    },
    after: (ended, now) => (fallback.next = decide(ended, now)),
  };
  return fallback;
}
