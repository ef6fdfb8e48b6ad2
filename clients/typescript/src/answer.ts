import { SSEError } from "./errors.ts";

/** `Retry-After`, seconds or a date (RFC 9110, section 10.2.3), as milliseconds; NaN if it says neither. */
export function retryAfter(headers: Headers, now: number): number {
  const told = headers.get("retry-after") ?? "";
  return /^\d+$/.test(told) ? +told * 1000 : Date.parse(told) - now;
}

/** A refusal, worded by its problem document (RFC 9457) if it is one. */
export function refusal({ status, statusText, headers }: Response, body: string, now: number): SSEError {
  let problem: { code?: string; title?: string; detail?: string } | null = null;
  try {
    problem = JSON.parse(body);
  } catch {
    // No problem document: the status says enough.
  }
  const { code, title, detail } = problem ?? {};
  return new SSEError(
    status === 401 || status === 403 ? "auth" : "http",
    `refused with ${status}: ${detail || title || statusText}`,
    {
      status,
      code,
      retryable: status >= 500 || /408|425|429/.test(`${status}`),
      retryAfter: retryAfter(headers, now),
    },
  );
}

/** Throws unless the answer is an event stream in UTF-8 (WHATWG HTML, section 9.2.5). */
export function checkEventStream({ status, headers }: Response): void {
  const type = headers.get("content-type") ?? "";
  if (status === 200 && /^\s*text\/event-stream\s*(;|$)/i.test(type) && !/charset\s*=\s*"?(?!utf-?8\b)/i.test(type)) return;
  throw new SSEError("protocol", `no event stream: status ${status}, content type "${type}"`, { status });
}
