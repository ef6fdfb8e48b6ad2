import type { Way } from "./fallback.ts";
import type { SSEErrorKind } from "./errors.ts";

/** What is known of an attempt that failed, and of those before it. */
export interface Failure {
  readonly way: Way;
  readonly kind: SSEErrorKind;
  readonly status?: number | undefined;
  readonly retryable: boolean;
  /** Whether the application has functions that can be asked for other credentials, and was not asked since the last success. */
  readonly canRefresh: boolean;
  /** Failures in a row before this one, and how many of them the application allows. */
  readonly failures: number;
  readonly maxRetries: number;
}

/**
 * | | |
 * |---|---|
 * | `again` | another attempt, after the back-off |
 * | `refresh` | the same, with new credentials |
 * | `failed` | over: no attempt can mend it |
 * | `exhausted` | over: it was tried often enough |
 */
export type Verdict = "again" | "refresh" | "failed" | "exhausted";

/** What follows a failure. Pure; `clients/cases/reconnect-cases.json` drives this and its Rust twin. */
export function judge({ way, kind, status, retryable, canRefresh, failures, maxRetries }: Failure): Verdict {
  if (status === 401 && canRefresh) return "refresh";
  // What no hub says to a long-poll may still be said to a stream.
  const isPollNotUnderstood = way === "poll" && (kind === "http" || kind === "protocol");
  if (!retryable && !isPollNotUnderstood) return "failed";
  return failures >= maxRetries ? "exhausted" : "again";
}
