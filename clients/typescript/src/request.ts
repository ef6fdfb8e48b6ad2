import { LAST_EVENT_ID_MAX } from "./limits.ts";
import type { AttemptContext, SSEClientOptions } from "./types.ts";

/** Parameters of a long-poll. */
export type Query = Record<string, string | number>;

/** The request of one attempt: everything that may change between attempts is asked anew. */
export async function buildRequest(
  options: SSEClientOptions<any>,
  context: AttemptContext,
  cursor: string,
  query: Query | false,
): Promise<[url: string, init: RequestInit]> {
  const { url, token, method, credentials, replay } = options;
  const [where, bearer, more, body] = await Promise.all(
    // Each by itself: if one throws, the others' failures still have somebody who waits for them.
    [url ?? sessionUrl(options), token, options.headers, options.body].map(async (option: any) =>
      typeof option === "function" ? option(context) : option,
    ),
  );
  const headers = new Headers(more);
  headers.set("accept", query ? "application/json" : "text/event-stream");
  if (bearer) headers.set("authorization", `Bearer ${bearer}`);
  const id = sendable(cursor);
  if (id && !query) headers.set("last-event-id", id);
  const parameters = new URLSearchParams({
    ...(replay && !cursor && { replay }),
    ...(query && cursor && { after: cursor }),
    ...query,
  } as Record<string, string>).toString();
  return [
    parameters ? where + (`${where}`.includes("?") ? "&" : "?") + parameters : where,
    { method, headers, body, credentials, cache: "no-store", signal: context.signal } as RequestInit,
  ];
}

/** Where the events of a session are (the hub's `GET /sessions/{session}/events`). */
export function sessionUrl({ baseUrl = "", sessionId }: SSEClientOptions<any>): string {
  if (!sessionId) throw new TypeError("no sessionId or url");
  return `${baseUrl.replace(/\/+$/, "")}/sessions/${encodeURIComponent(sessionId)}/events`;
}

/**
 * An id as a header value: its UTF-8 bytes, each as a character (Fetch, section 2.2.2). Empty if no header may carry
 * it: a reconnect must not throw.
 */
export function sendable(id: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(id.slice(0, LAST_EVENT_ID_MAX + 1)));
  return bytes.length > LAST_EVENT_ID_MAX || /[^\t\x20-\x7e\x80-\xff]/.test(bytes) ? "" : bytes;
}
