import { SSEError } from "watertight";

/** How long an answer may take, milliseconds: a search of very many connections takes a second on a busy hub. */
export const PATIENCE = 15_000;

/** What the hub refused, or that it was not there (status 0), or did not answer (status 0, code `NO_ANSWER`). */
export class CallError extends Error {
  readonly status: number;
  readonly code: string;
  /** Seconds until it is worth while to ask again, if the hub said so. */
  readonly retryAfter: number | null;

  constructor(status: number, code: string, message: string, retryAfter: number | null = null) {
    super(message);
    this.name = "CallError";
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export interface CallOptions {
  readonly method?: "GET" | "POST" | "DELETE";
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** Instead of {@link PATIENCE}. */
  readonly patience?: number;
}

/** One call of the hub, which ends in time: by its answer, by `signal`, or by its limit. @throws CallError, or what `signal` was aborted with */
export async function call(base: string, token: string | null, path: string, options: CallOptions = {}): Promise<unknown> {
  const { method = "GET", body, signal, patience = PATIENCE } = options;
  const headers: Record<string, string> = { accept: "application/json" };
  if (token) headers["authorization"] = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), patience);
  const signals = signal ? [signal, limit.signal] : [limit.signal];
  const init: RequestInit = { method, headers, cache: "no-store", credentials: "same-origin", signal: AbortSignal.any(signals) };
  if (body !== undefined) init.body = JSON.stringify(body);
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(`${base}/${path}`, init);
    text = await answer.text();
  } catch (thrown) {
    signal?.throwIfAborted();
    if (limit.signal.aborted) throw new CallError(0, NO_ANSWER, `no answer within ${patience / 1_000} s`);
    throw new CallError(0, "", thrown instanceof Error ? thrown.message : String(thrown));
  } finally {
    clearTimeout(timer);
  }
  const read = parsed(text);
  if (answer.ok) return read;
  const { code, detail } = (typeof read === "object" && read !== null ? read : {}) as { code?: unknown; detail?: unknown };
  const after = Number(answer.headers.get("retry-after") ?? Number.NaN);
  throw new CallError(
    answer.status,
    typeof code === "string" ? code : "",
    typeof detail === "string" ? detail : `status ${answer.status}`,
    Number.isFinite(after) ? after : null,
  );
}

function parsed(text: string): unknown {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

const NO_ANSWER = "NO_ANSWER";

type Failed = Pick<CallError, "status" | "code" | "message">;

/** What is to be done about it, in words. */
export function explain(failed: Failed): string {
  return passes(failed) ? `${whatFailed(failed)} It is asked again by itself.` : whatFailed(failed);
}

/** The same of something that a button did, which is not done again by itself. */
function explainDone(failed: Failed): string {
  if (failed.status === 0) return `${whatFailed(failed)} Whether it was done is not known.`;
  return passes(failed) ? `${whatFailed(failed)} It was not done.` : whatFailed(failed);
}

/** Whether it may be another way in a moment. */
const passes = ({ status }: Failed): boolean => status === 0 || status === 429 || status === 503;

function whatFailed({ status, code, message }: Failed): string {
  if (status === 0) return code === NO_ANSWER ? `The hub did not answer (${message}).` : "No connection to the hub.";
  if (status === 401) return "The hub asks for a token: sign in.";
  if (status === 403) return `This token does not grant it (${message}). Operators’ calls need one with admin.`;
  // Whatever is missing by name has a code of its own.
  if (status === 404 && (code === "NOT_FOUND" || !code)) {
    return "This is not to be had at this address. With admin_listen, a hub answers its operators at that address only, and gives events, logs and metrics at the public one: open this page at the other address.";
  }
  if (status === 429 || status === 503) return `The hub is busy (${message}).`;
  return message;
}

/** Why a stream failed, in words. */
export const sayError = (error: unknown): string => say(error, explain);

/** What came of what a button did, in words. */
export const sayOutcome = (error: unknown): string => say(error, explainDone);

function say(error: unknown, how: (failed: Failed) => string): string {
  if (error instanceof CallError) return how(error);
  if (error instanceof SSEError && error.status !== undefined) {
    return how({ status: error.status, code: error.code ?? "", message: error.message });
  }
  return error instanceof Error ? error.message : String(error);
}
