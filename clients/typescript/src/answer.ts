import { SSEError } from "./errors.ts";
import { HEARTBEAT, READ_TIMEOUT_MIN, SILENT_HEARTBEATS } from "./limits.ts";

/** What says that whoever asks has no right to: statuses of a refusal, codes of a closing event. */
const UNAUTHORIZED: unknown[] = [401, 403, "TOKEN_REVOKED", "FORBIDDEN"];

/** `Retry-After`, seconds or a date (RFC 9110, section 10.2.3), as milliseconds; `undefined` if it says neither. */
export function retryAfter(headers: Headers, now: number): number | undefined {
  const told = headers.get("retry-after") ?? "";
  const milliseconds = /^\d+$/.test(told) ? Number(told) * 1000 : Date.parse(told) - now;
  return Number.isNaN(milliseconds) ? undefined : milliseconds;
}

/** A refusal, worded by its problem document (RFC 9457) if it is one. */
export function refusal({ status, statusText, headers }: Response, body: string, now: number): SSEError {
  const { code, title, detail } = parse<{ code?: string; title?: string; detail?: string }>(body);
  return new SSEError(
    UNAUTHORIZED.includes(status) ? "auth" : "http",
    `refused with ${status}: ${detail || title || statusText}`,
    { status, code, retryable: /^(408|425|429|5..)$/.test(`${status}`), retryAfter: retryAfter(headers, now) },
  );
}

/** Whether the answer has words of the server's own. */
export function isProblem({ headers }: Response): boolean {
  return headers.get("content-type")?.includes("json") ?? false;
}

/** Throws unless the answer is an event stream in UTF-8 (WHATWG HTML, section 9.2.5). */
export function checkEventStream({ status, headers }: Response): void {
  const type = headers.get("content-type") ?? "";
  const isUtf8 = !/charset\s*=(?!\s*"?utf-?8\b)/i.test(type);
  if (status === 200 && /^\s*text\/event-stream\s*(;|$)/i.test(type) && isUtf8) return;
  throw new SSEError("protocol", `no event stream: ${status} ${type}`, { status });
}

/** How long a stream with this `Heartbeat-Interval` (seconds) may be silent, milliseconds. */
export function silenceAllowed(heartbeat: string | null): number {
  return Math.max((Number(heartbeat) || HEARTBEAT) * SILENT_HEARTBEATS * 1000, READ_TIMEOUT_MIN);
}

/** What a hub answers to a long-poll. */
export interface PollAnswer {
  events: { id: string; type: string; data: string }[];
  next: string;
  gap?: { to?: string | null } | null;
  end?: unknown;
}

/** Throws unless the text is the answer to a long-poll. */
export function readPoll(text: string): PollAnswer {
  const answer = parse<PollAnswer>(text);
  if (Array.isArray(answer.events) && answer.next) return answer as PollAnswer;
  throw new SSEError("protocol", "no answer to a long-poll");
}

/** Why a hub is about to close the stream, if it gave a code: without one it is an event like any other. */
export function readClosingEvent(text: string): SSEError | undefined {
  const { code, error } = parse<{ code: string; error: string }>(text);
  return code ? new SSEError(UNAUTHORIZED.includes(code) ? "auth" : "closing", error ?? code, { code }) : undefined;
}

/** The object that a JSON text is, or an empty one. */
export function parse<T>(text: string): Partial<T> {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
