import { headerOf } from "./cursor.ts";
import { SSEError } from "./errors.ts";
import type { AttemptContext, PerAttempt, SSEClientOptions } from "./types.ts";

/** Parameters of a long-poll. */
export type Query = Record<string, string | number>;

/** What `fetch` is given, and what of it must be in no message. */
export interface BuiltRequest {
  readonly url: string;
  readonly init: RequestInit & { headers: Record<string, string> };
  readonly secrets: readonly string[];
}

/**
 * The request of one attempt: everything that may change between attempts is asked anew.
 *
 * @throws SSEError of kind `protocol` if it cannot be made; it says what is wrong, and nothing of its value
 */
export async function buildRequest(
  options: SSEClientOptions<any>,
  context: AttemptContext,
  cursor: string,
  query?: Query,
): Promise<BuiltRequest> {
  const ask = async <T>(option: PerAttempt<T>): Promise<T> =>
    typeof option === "function" ? (option as (context: AttemptContext) => T | Promise<T>)(context) : option;
  // Each by itself: if one throws, the others' failures still have somebody who waits for them.
  const [where, bearer, given, body] = await Promise.all([
    ask(options.url ?? sessionUrl(options)),
    ask(options.token),
    ask(options.headers),
    ask(options.body),
  ]);
  const headers = new Headers();
  const set = (name: string, value: string): void => {
    try {
      headers.set(name, value);
    } catch {
      throw new SSEError("protocol", `no request can carry this header: ${JSON.stringify(name)}`);
    }
  };
  const pairs = given && Symbol.iterator in given ? given : Object.entries(given ?? {});
  for (const [name, value] of pairs as Iterable<[string, string]>) set(name, value);
  if (query) set("accept", "application/json");
  else if (!headers.has("accept")) set("accept", "text/event-stream");
  if (bearer) set("authorization", `Bearer ${bearer}`);
  // What is shorter is a word or a number, and would only make messages unreadable.
  const secrets = [...headers.values(), bearer, body, `${where}`.split("?")[1]].filter((secret) => secret && secret.length > 5);
  const id = headerOf(cursor);
  if (id && !query) set("last-event-id", id);
  const url = withQuery(`${where}`, {
    ...(options.replay && !cursor && { replay: options.replay }),
    ...(query && cursor && { after: cursor }),
    ...query,
  });
  if (!options.fetch && !URL.canParse(url, globalThis.location?.href)) {
    throw new SSEError("protocol", "no absolute url or baseUrl");
  }
  const { method, credentials } = options;
  // A plain object: `fetch` wrappers spread headers, and of a `Headers` nothing would be left.
  const init = { method, headers: Object.fromEntries(headers), body, credentials, cache: "no-store", signal: context.signal };
  return { url, init: init as BuiltRequest["init"], secrets: secrets as string[] };
}

/** Where the events of a session are (the hub's `GET /sessions/{session}/events`). */
export function sessionUrl({ baseUrl = "", sessionId = "" }: SSEClientOptions<any>): string {
  // None; or `.` and `..`: whatever resolves the address takes them out of it, also percent-encoded (RFC 3986, 5.2.4).
  if (/^\.{0,2}$/.test(sessionId)) throw new TypeError("no sessionId or url");
  return `${baseUrl.replace(/\/+$/, "")}/sessions/${encodeURIComponent(sessionId)}/events`;
}

function withQuery(url: string, query: Query): string {
  const parameters = new URLSearchParams(query as Record<string, string>).toString();
  return parameters ? url + (url.includes("?") ? "&" : "?") + parameters : url;
}
