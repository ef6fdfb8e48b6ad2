import { LAST_EVENT_ID_MAX } from "./limits.ts";
import type { AttemptContext, PerAttempt, SSEClientOptions } from "./types.ts";

function ask<T>(option: PerAttempt<T>, context: AttemptContext): T | Promise<T> {
  return typeof option === "function"
    ? (option as (context: AttemptContext) => T | Promise<T>)(context)
    : option;
}

/** The request of one attempt: everything that may change between attempts is asked anew. */
export async function buildRequest(
  options: SSEClientOptions<any>,
  context: AttemptContext,
  accept: string,
  cursor: string,
  query: Record<string, string | undefined>,
): Promise<{ url: string; init: RequestInit }> {
  const [where, token, more, body] = await Promise.all([
    ask(options.url, context),
    ask(options.token, context),
    ask(options.headers, context),
    ask(options.body, context),
  ]);
  const headers = new Headers(more);
  headers.set("accept", accept);
  if (token) headers.set("authorization", `Bearer ${token}`);
  const id = sendable(cursor);
  if (id && !("after" in query)) headers.set("last-event-id", id);
  const replay = cursor ? undefined : options.replay;
  return {
    url: withQuery(where === undefined ? sessionUrl(options) : String(where), {
      replay: replay === undefined ? undefined : String(replay),
      ...query,
    }),
    init: {
      method: options.method ?? "GET",
      headers,
      body: body ?? null,
      cache: "no-store",
      credentials: options.credentials ?? "same-origin",
    },
  };
}

/** Where the events of a session are (the hub's `GET /sessions/{session}/events`). */
export function sessionUrl({ baseUrl = "", sessionId }: SSEClientOptions<any>): string {
  if (!sessionId) throw new TypeError("SSEClient needs a sessionId or a url");
  return `${baseUrl.replace(/\/+$/, "")}/sessions/${encodeURIComponent(sessionId)}/events`;
}

/** By hand: the URL may be relative, and `URL` would write an application's own query anew. */
function withQuery(url: string, query: Record<string, string | undefined>): string {
  const [, base = "", fragment = ""] = /^([^#]*)(.*)$/s.exec(url) ?? [];
  const more = Object.entries(query)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(value ?? "")}`)
    .join("&");
  return more ? `${base}${base.includes("?") ? "&" : "?"}${more}${fragment}` : url;
}

/**
 * An id as a header value: its UTF-8 bytes, each as a character (Fetch, section 2.2.2). Empty if no header may carry
 * it: a reconnect must not throw.
 */
export function sendable(id: string): string {
  let bytes = "";
  for (const byte of new TextEncoder().encode(id)) bytes += String.fromCharCode(byte);
  return bytes.length > LAST_EVENT_ID_MAX || /[^\t\x20-\x7e\x80-\xff]/.test(bytes) ? "" : bytes;
}
