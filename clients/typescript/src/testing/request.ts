/** A request that the hub got. */
export interface HubRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  /** The session asked for; for a URL that is none of a session's, its path. */
  readonly sessionId: string;
  readonly delivery: "stream" | "poll";
  /** Where it wants to resume; empty if nowhere. */
  readonly lastEventId: string;
}

/** A request with all that its answer depends on. */
export interface ReadRequest extends HubRequest {
  readonly replay: string | null;
  /** Events in an answer at most. */
  readonly limit: number;
  /** How long a long-poll waits, seconds. */
  readonly wait: number;
}

/** What a call of `fetch` asks for. Without its signal: requests are remembered, and nobody's client with them. */
export function readRequest(input: string | URL | Request, init?: RequestInit): ReadRequest {
  const given = input instanceof Request ? input : undefined;
  const url = given?.url ?? String(input);
  // Relative URLs will do: there is no other host here.
  const { pathname, searchParams } = new URL(url, "http://hub.invalid");
  const headers = new Headers(init?.headers ?? given?.headers);
  const session = /\/sessions\/([^/]+)\/events$/.exec(pathname)?.[1];
  const poll = /^application\//.test(headers.get("accept") ?? "");
  const cursors = ["last_event_id", "lastEventId", "lastEventID", "after"].map((name) => searchParams.get(name));
  return {
    method: init?.method ?? given?.method ?? "GET",
    url,
    headers,
    sessionId: session === undefined ? pathname : decodeURIComponent(session),
    delivery: poll ? "poll" : "stream",
    lastEventId: headers.get("last-event-id") || cursors.find(Boolean) || "",
    replay: searchParams.get("replay"),
    limit: poll ? Number(searchParams.get("limit") || 100) : Infinity,
    wait: Number(searchParams.get("wait") || 25),
  };
}
