import type { SSEError } from "./errors.ts";
import type { Way } from "./fallback.ts";
import type { SSEClientOptions } from "./types.ts";

/**
 * | | |
 * |---|---|
 * | `again` | another attempt, after the back-off |
 * | `failed` | over: no attempt can mend it |
 * | `exhausted` | over: it was tried often enough |
 */
export type Verdict = "again" | "failed" | "exhausted";

/**
 * What follows a failure. Pure; `clients/cases/reconnect-cases.json` drives this and its Rust twin.
 *
 * @param failures in a row, before this one
 */
export function judge({ kind, retryable }: SSEError, way: Way, failures: number, maxRetries = Infinity): Verdict {
  // What no hub says to a long-poll may still be said to a stream.
  const isPollNotUnderstood = way === "poll" && (kind === "http" || kind === "protocol");
  if (!retryable && !isPollNotUnderstood) return "failed";
  return failures >= maxRetries ? "exhausted" : "again";
}

/** Whether a request that was answered with `status` is sent once more: there is a function that may give other credentials. */
export function mayRefresh({ token, headers, url, body }: SSEClientOptions<any>, status: number): boolean {
  return status === 401 && [token, headers, url, body].some((option) => typeof option === "function");
}
