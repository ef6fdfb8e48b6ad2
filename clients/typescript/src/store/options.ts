import type { EventMap, SSEClientOptions } from "../index.ts";

/**
 * Settings of a share of a connection: all of {@link SSEClientOptions}, and some more. None needs to be memoised.
 *
 * `method`, `url` (or `baseUrl` and `sessionId`), a `body` that is a string, `identity` and `key` say which stream is meant;
 * those who mean the same one share its connection, unless their `token`s are two different strings. All others are read
 * anew for each attempt, so a new `token` or new `headers` never reconnect. Where several share a connection, those of the
 * first one count (development warns if they differ), but `parsers` are everybody's own, and everybody's `onError` and
 * `onComment` are called. Aborting `signal` disconnects this share alone.
 *
 * `lastEventId` says where this share begins, `replay` where a connection does: who joins one that is there
 * already gets what comes from then on.
 */
export interface StreamOptions<Events extends object = EventMap> extends SSEClientOptions<Events> {
  /** Whether to connect without being asked to. `connect` works all the same. Default true. */
  enabled?: boolean | undefined;
  /** Sets streams apart that would share a connection otherwise. Needed if `url` or `body` is a function. */
  key?: string | undefined;
  /** Whose stream it is, a user's id: nobody gets events over the connection of somebody else. */
  identity?: string | undefined;
  /**
   * How long a connection stays when the last one who used it is gone, milliseconds: who comes within that time (the next
   * page of a route) gets all that came meanwhile. Default 1,000.
   */
  linger?: number | undefined;
}

/** `options` where they say something, else `defaults`. */
export function over(defaults: StreamOptions<any>, options: StreamOptions<any>): StreamOptions<any> {
  const merged: Record<string, unknown> = { ...defaults };
  // The nearer word on which stream is meant, also where the farther one names it in the other way.
  if (options.sessionId !== undefined) delete merged["url"];
  for (const [name, value] of Object.entries(options)) if (value !== undefined) merged[name] = value;
  return merged;
}

/** What makes two streams the same one; `undefined` if nothing says which stream is meant. */
export function keyOf({ method, url, baseUrl, sessionId, body, key, identity }: StreamOptions<any>): string | undefined {
  const isKnown = typeof url === "function" ? key : (url ?? sessionId);
  const text = typeof body === "string" ? body : undefined;
  return isKnown ? JSON.stringify([method, url ?? [baseUrl, sessionId], text, key, identity]) : undefined;
}
