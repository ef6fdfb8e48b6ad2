import { SSEError } from "watertight";

/** What the hub refused, or that it was not there (status 0). */
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
}

/** One call of the hub. @throws CallError, or what `signal` was aborted with */
export async function call(base: string, token: string | null, path: string, options: CallOptions = {}): Promise<unknown> {
  const { method = "GET", body, signal } = options;
  const headers: Record<string, string> = { accept: "application/json" };
  if (token) headers["authorization"] = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const init: RequestInit = { method, headers, cache: "no-store", credentials: "same-origin" };
  if (body !== undefined) init.body = JSON.stringify(body);
  if (signal) init.signal = signal;
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(`${base}/${path}`, init);
    text = await answer.text();
  } catch (thrown) {
    signal?.throwIfAborted();
    throw new CallError(0, "", thrown instanceof Error ? thrown.message : String(thrown));
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

/** What is to be done about it, in words. */
export function explain({ status, code, message }: Pick<CallError, "status" | "code" | "message">): string {
  if (status === 0) return "No connection to the hub. It is asked again by itself.";
  if (status === 401) return "The hub asks for a token: sign in.";
  if (status === 403) return `This token does not grant it (${message}). Operators’ calls need one with admin.`;
  // Whatever is missing by name has a code of its own.
  if (status === 404 && (code === "NOT_FOUND" || !code)) {
    return "This is not to be had at this address. With admin_listen, a hub answers its operators at that address only, and gives events, logs and metrics at the public one: open this page at the other address.";
  }
  if (status === 429 || status === 503) return `The hub is busy (${message}). It is asked again by itself.`;
  return message;
}

/** What came of a call, or of a stream, in words. */
export function sayError(error: unknown): string {
  if (error instanceof CallError) return explain(error);
  if (error instanceof SSEError && error.status !== undefined) {
    return explain({ status: error.status, code: error.code ?? "", message: error.message });
  }
  return error instanceof Error ? error.message : String(error);
}
