/**
 * One connection for all tabs of a browser.
 *
 * A browser allows six HTTP/1.1 connections to an origin, over all its tabs: six open streams, and the seventh tab hangs.
 * `shareTabs()` is a `fetch` that lets the tabs share: whichever holds a Web Lock reads the stream and passes its events
 * on over a `BroadcastChannel`; when that tab closes, the lock goes to another, which resumes where the first was.
 *
 * ```ts
 * const client = new SSEClient({ sessionId: "demo", fetch: shareTabs({ name: user.id }) });
 * ```
 *
 * Nothing is lost in between: every event that is passed on names the one before it, so a tab that missed one notices,
 * and connects anew with its own cursor. Where there are no Web Locks, or the leading tab does not answer, each tab has
 * its own connection.
 *
 * @packageDocumentation
 */
import { follow } from "./tabs/follow.ts";
import { lead } from "./tabs/lead.ts";
import { tryLock } from "./tabs/lock.ts";

/** Settings of {@link shareTabs}. */
export interface ShareTabsOptions {
  /**
   * Who shares. Tabs with other names do not: give the user here wherever two tabs of one browser may belong to two users,
   * because what the leading tab may see, its followers see.
   */
  name?: string | undefined;
  /** How the leading tab connects. Default: the global `fetch`. */
  fetch?: typeof fetch | undefined;
}

/** A `fetch` whose event streams are shared between the tabs of a browser. Everything else it passes through. */
export function shareTabs({ name = "", fetch: connect }: ShareTabsOptions = {}): typeof fetch {
  return async (input, init = {}) => {
    const direct = (): Promise<Response> => (connect ?? fetch)(input, init);
    const headers = new Headers(init.headers);
    const isStream = headers.get("accept") === "text/event-stream" && !init.body;
    if (!isStream || !globalThis.navigator?.locks || !globalThis.BroadcastChannel) return direct();
    const key = `watertight ${name} ${new URL(String(input), globalThis.location?.href).href}`;
    const unlock = await tryLock(key);
    if (unlock && init.signal?.aborted) unlock();
    if (unlock) return lead(key, unlock, direct, headers.get("last-event-id"));
    return (await follow(key, headers.get("last-event-id"), init.signal ?? undefined)) ?? direct();
  };
}
