import { SSEError } from "./errors.ts";

/** `Retry-After`, seconds or a date (RFC 9110, section 10.2.3), as milliseconds. */
export function retryAfter(headers: Headers, now: number): number | undefined {
  const told = headers.get("retry-after");
  if (!told) return;
  const wait = /^\d+$/.test(told) ? Number(told) * 1000 : Date.parse(told) - now;
  return Number.isNaN(wait) ? undefined : Math.max(wait, 0);
}

/** A refusal, worded by its problem document (RFC 9457) if it is one. */
export function refusal(response: Response, body: string, now: number): SSEError {
  const { status } = response;
  let problem: { code?: unknown; title?: unknown; detail?: unknown } = {};
  try {
    problem = (JSON.parse(body) as typeof problem | null) ?? {};
  } catch {
    // No problem document: the status says enough.
  }
  const text = [problem.detail, problem.title, response.statusText].find((part) => typeof part === "string" && part);
  return new SSEError(
    status === 401 || status === 403 ? "auth" : "http",
    `refused with ${status}${text ? `: ${String(text)}` : ""}`,
    {
      status,
      code: typeof problem.code === "string" ? problem.code : undefined,
      retryable: status === 408 || status === 425 || status === 429 || status >= 500,
      retryAfter: retryAfter(response.headers, now),
    },
  );
}

/** Throws unless the answer is an event stream in UTF-8 (WHATWG HTML, section 9.2.5). */
export function checkEventStream(response: Response): void {
  const type = response.headers.get("content-type") ?? "";
  const [essence = "", ...parameters] = type.toLowerCase().split(";");
  const charset = parameters.map((part) => /^\s*charset\s*=\s*"?([^"]*?)"?\s*$/.exec(part)?.[1]).find((name) => name);
  const good = response.status === 200 && essence.trim() === "text/event-stream";
  if (good && (!charset || charset === "utf-8" || charset === "utf8")) return;
  const what = response.status === 200 ? `its content type is ${type || "missing"}` : `its status is ${response.status}`;
  throw new SSEError("protocol", `the answer is no event stream: ${what}`, { status: response.status });
}
