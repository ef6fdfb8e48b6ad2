import { SSEError } from "watertight";

/** The API refused, or did not answer. */
export class ApiError extends Error {
  /** HTTP status; 0 without an answer. */
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

export interface Session {
  readonly user: string;
  /** Seconds since the Unix epoch. */
  readonly expiresAt: number;
  /** Where the hub is, for those who go there themselves. */
  readonly hub: string;
}

/** How long the API may take for an answer, milliseconds: a network that is gone says nothing. */
const ANSWER_TIMEOUT = 10_000;

/** Asks the API. @throws ApiError */
export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const tooLong = AbortSignal.timeout(ANSWER_TIMEOUT);
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(`/api${path}`, {
      method,
      ...(body !== undefined && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([signal, tooLong]) : tooLong,
    });
    text = await answer.text();
  } catch (thrown) {
    signal?.throwIfAborted();
    throw new ApiError(0, "NO_ANSWER", `the API does not answer: ${thrown}`);
  }
  // A proxy in between refuses in words of its own.
  let told: { code?: string; detail?: string } = {};
  try {
    if (text) told = JSON.parse(text) as typeof told;
  } catch {
    if (answer.ok) throw new ApiError(answer.status, "NO_JSON", "the API did not answer in JSON");
  }
  if (!answer.ok) throw new ApiError(answer.status, told.code ?? "REFUSED", told.detail ?? `refused with ${answer.status}`);
  return told as T;
}

interface Held {
  readonly token: string;
  readonly expiresAt: number;
}

/** A token is not used in its last seconds: it would be refused on the way. */
const MARGIN = 5;

/**
 * Tokens for the hub, as the client asks for them: one for all streams, fetched when it is needed. Whoever is signed out gets an
 * error that no further try can mend.
 */
export function createTokenSource(): (context: { readonly refresh: boolean }) => Promise<string> {
  let held: Held | undefined;
  let fetching: Promise<Held> | undefined;
  const fetchOne = async (): Promise<Held> => {
    try {
      return (held = await call<Held>("POST", "/token"));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      throw new SSEError("auth", error.message, { status: error.status, code: error.code });
    } finally {
      fetching = undefined;
    }
  };
  return async ({ refresh }) => {
    const isFresh = held && held.expiresAt - MARGIN > Date.now() / 1_000;
    if (held && isFresh && !refresh) return held.token;
    // All streams of a page ask at the same moment.
    fetching ??= fetchOne();
    return (await fetching).token;
  };
}
