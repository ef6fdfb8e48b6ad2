import { SSEError } from "./errors.ts";
import type { Way } from "./fallback.ts";
import type { SSEClientOptions } from "./types.ts";

/**
 * What follows a failure: the error with which it is over, or nothing if there is to be another attempt. Pure;
 * `clients/cases/reconnect-cases.json` drives this and its Rust twin.
 *
 * @param failures in a row, before this one
 */
export function judge(failure: SSEError, way: Way, failures: number, maxRetries = Infinity): SSEError | undefined {
  const { kind, retryable, message } = failure;
  // What no hub says to a long-poll may still be said to a stream.
  const isPollNotUnderstood = way === "poll" && (kind === "http" || kind === "protocol");
  if (!retryable && !isPollNotUnderstood) return failure;
  return failures < maxRetries ? undefined : new SSEError("exhausted", `gave up: ${message}`, { cause: failure });
}

/** Whether a request that was answered with `status` is sent once more: there is a function that may give other credentials. */
export function mayRefresh({ token, headers, url, body }: SSEClientOptions<any>, status: number): boolean {
  return status === 401 && [token, headers, url, body].some((option) => typeof option === "function");
}
