import { headerOf } from "./cursor.ts";
import { noConnection, SSEError } from "./errors.ts";
import type { AttemptContext, PerAttempt, SSEClientOptions } from "./types.ts";

/** What `fetch` is given. */
export type BuiltRequest = [url: string, init: RequestInit & { headers: Record<string, string> }];

/**
 * One request: everything that may change between two of them is asked anew.
 *
 * @param cursor the id to resume after; empty for none
 * @param wait of a long-poll: how long the hub may wait for events, seconds
 * @throws SSEError of kind `protocol` if it cannot be made; it says what is wrong, and nothing of its value
 */
export async function buildRequest(
  options: SSEClientOptions<any>,
  context: AttemptContext,
  cursor: string,
  wait?: number,
): Promise<BuiltRequest> {
  const isPoll = wait !== undefined;
  const ask = async <T>(option: PerAttempt<T>): Promise<T> =>
    typeof option === "function" ? (option as (context: AttemptContext) => T | Promise<T>)(context) : option;
  // Each by itself: if one throws, the others' failures still have somebody who waits for them.
  const [where, bearer, given, body] = await Promise.all([
    ask(options.url ?? sessionUrl(options)),
    ask(options.token),
    ask(options.headers),
    ask(options.body),
  ]);
  const headers = new Headers(isPoll ? {} : { accept: "text/event-stream" });
  const set = (name: string, value: string): void => {
    try {
      headers.set(name, value);
    } catch {
      throw new SSEError("protocol", `no request can carry this header: ${JSON.stringify(name)}`);
    }
  };
  const pairs = given && Symbol.iterator in given ? given : Object.entries(given ?? {});
  for (const [name, value] of pairs as Iterable<[string, string]>) set(name, value);
  const id = headerOf(cursor);
  if (isPoll) set("accept", "application/json");
  else if (id) set("last-event-id", id);
  if (bearer) set("authorization", `Bearer ${bearer}`);
  const query = `${new URLSearchParams({
    ...(options.replay && !cursor && { replay: `${options.replay}` }),
    ...(isPoll && { ...(cursor && { after: cursor }), wait: `${wait}` }),
  })}`;
  // A fragment is never sent, and would take the parameters with it.
  const address = `${where}`.replace(/#.*/s, "");
  const url = address + (query && (address.includes("?") ? "&" : "?")) + query;
  if (!options.fetch && !URL.canParse(url, globalThis.location?.href)) {
    throw new SSEError("protocol", "no absolute url or baseUrl");
  }
  const { method, credentials } = options;
  // A plain object: `fetch` wrappers spread headers, and of a `Headers` nothing would be left.
  const init = { method, headers: Object.fromEntries(headers), body, credentials, cache: "no-store", signal: context.signal };
  return [url, init as BuiltRequest[1]];
}

/** Where the events of a session are (the hub's `GET /sessions/{session}/events`). */
export function sessionUrl({ baseUrl = "", sessionId = "" }: SSEClientOptions<any>): string {
  // None; or `.` and `..`: whatever resolves the address takes them out of it, also percent-encoded (RFC 3986, 5.2.4).
  if (/^\.{0,2}$/.test(sessionId)) throw new TypeError("no sessionId or url");
  return `${baseUrl.replace(/\/+$/, "")}/sessions/${encodeURIComponent(sessionId)}/events`;
}

/** @throws SSEError in which nothing is that was sent */
export async function send(fetch: typeof globalThis.fetch, ...[url, init]: BuiltRequest): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (thrown) {
    // Some workers have no caches, and say so by throwing.
    if (init.cache && `${thrown}`.includes("cache")) {
      delete init.cache;
      return send(fetch, url, init);
    }
    throw noConnection(thrown);
  }
}
