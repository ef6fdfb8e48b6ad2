/**
 * The one error of the client.
 *
 * | kind | what happened | comes back by itself |
 * |---|---|---|
 * | `network` | no connection, or it broke | yes |
 * | `timeout` | nothing came in time | yes |
 * | `http` | refused with a status | 408, 425, 429 and 5xx |
 * | `auth` | 401, also after one refresh of the token; 403; the hub's `TOKEN_REVOKED` and `FORBIDDEN` in `code` | no |
 * | `closing` | the hub closed the stream and said why in `code`; with `TOKEN_EXPIRED` a fresh token is asked for | yes |
 * | `protocol` | the answer is no event stream, or what was given makes no request | no |
 * | `limit` | an event larger than `maxEventBytes`, or an id that no request can carry | an id: the stream goes on |
 * | `gap` | events are missing, and nobody listens to `gap` | the stream goes on |
 * | `exhausted` | the last of `maxRetries` retries in a row failed, too; `cause` says how | no |
 * | `parse` | a parser or schema of the application refused an event | the stream goes on |
 * | `handler` | a handler of the application threw; `cause` is what it threw | the stream goes on |
 */
export type SSEErrorKind =
  | "network"
  | "timeout"
  | "http"
  | "auth"
  | "closing"
  | "protocol"
  | "limit"
  | "gap"
  | "exhausted"
  | "parse"
  | "handler";

/** More about an {@link SSEError}. */
export interface SSEErrorDetails {
  /** HTTP status, if there was an answer. */
  status?: number | undefined;
  /** The hub's stable code (`SESSION_ENDED`, `TOO_MANY_CONNECTIONS`), if it named one. */
  code?: string | undefined;
  /** Whether a later attempt may work. Default: as the kind says. */
  retryable?: boolean | undefined;
  /** What the server asked to wait, milliseconds. */
  retryAfter?: number | undefined;
  /** What a function of the application threw, or the failure before. What `fetch` threw is named in the message. */
  cause?: unknown;
}

/** Why a connection, an attempt or a handler failed. `message` is for people, `kind` and `code` for programs. */
export class SSEError extends Error {
  declare readonly kind: SSEErrorKind;
  declare readonly status: number | undefined;
  declare readonly code: string | undefined;
  declare readonly retryable: boolean;
  declare readonly retryAfter: number | undefined;

  constructor(kind: SSEErrorKind, message: string, details: SSEErrorDetails = {}) {
    super(message, details);
    const retryable = ["network", "timeout", "closing"].includes(kind);
    Object.assign(this, { name: "SSEError", kind, retryable, ...details });
  }
}

/**
 * Whatever was thrown, as one of ours. What is not ours came from a function of the application, or from the network.
 *
 * @param message for people. What was thrown stays in `cause`
 */
export function toSSEError(kind: SSEErrorKind, cause: unknown, message = `${kind}: ${cause}`): SSEError {
  return cause instanceof SSEError ? cause : new SSEError(kind, message, { cause });
}

/** Nobody listens to what is missing: never a quiet skip. */
export function unheardGap(text: string): SSEError {
  return new SSEError("gap", `nobody listens to "gap": ${text}`);
}

/** Something went wrong, and nobody swallows it. */
export function tell(onError: ((error: SSEError) => void) | undefined, kind: SSEErrorKind, cause: unknown): void {
  try {
    if (onError) onError(toSSEError(kind, cause));
    else report(cause);
  } catch (thrown) {
    report(thrown);
  }
}

/** Nobody else to tell. */
function report(thrown: unknown): void {
  (globalThis.reportError ?? console.error)(thrown);
}

/**
 * What a transport threw, and what is behind it, by names and codes alone: words, and whatever else they have, may quote what was
 * sent, in any spelling. A wrapper of `fetch` that wants its own words to be shown throws an {@link SSEError}.
 */
export function noConnection(thrown: unknown): SSEError {
  if (thrown instanceof SSEError) return thrown;
  const errors = [thrown, (thrown as Error | undefined)?.cause] as ({ name?: string; code?: unknown } | undefined)[];
  const names = errors.flatMap((error) => error?.code ?? error?.name ?? []);
  return new SSEError("network", `no connection: ${names.join(", ")}`);
}
