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

/**
 * A `fetch` whose event streams are shared between the tabs of a browser. Everything else it passes through, and streams
 * that ask for history (`replay`) until they have it.
 */
export function shareTabs({ name = "", fetch: connect }: ShareTabsOptions = {}): typeof fetch {
  return async (input, init = {}) => {
    const direct = (): Promise<Response> => (connect ?? fetch)(input, init);
    const headers = new Headers(init.headers);
    const isStream = headers.get("accept") === "text/event-stream" && !init.body;
    if (!isStream || !globalThis.navigator?.locks || !globalThis.BroadcastChannel) return direct();
    const url = new URL(String(input), globalThis.location?.href);
    const after = decode(headers.get("last-event-id"));
    if (after === null && url.searchParams.has("replay")) return direct();
    url.searchParams.delete("replay");
    const key = `watertight ${name} ${url.href}`;
    for (;;) {
      let unlock: (() => void) | undefined;
      try {
        unlock = await tryLock(key);
      } catch {
        // Locks are there, and not for us (a sandboxed frame, storage that is blocked).
        return direct();
      }
      if (init.signal?.aborted) {
        unlock?.();
        throw init.signal.reason;
      }
      if (unlock) return lead(key, unlock, direct, after);
      const followed = await follow(key, after, init.signal ?? undefined);
      // Whoever led is gone, and the lead is free.
      if (followed === "vacant") continue;
      return followed ?? direct();
    }
  };
}

/** An id as a header carries it: its UTF-8 bytes, each as a character. */
function decode(header: string | null): string | null {
  return header === null ? null : new TextDecoder().decode(Uint8Array.from(header, (byte) => byte.charCodeAt(0)));
}
