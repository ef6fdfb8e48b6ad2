import { parse } from "./answer.ts";
import { LAST_EVENT_ID_MAX } from "./limits.ts";
import type { Gap } from "./types.ts";

/**
 * Where a subscription stands: the id to resume from, whichever way events come. It belongs to the client and outlives every
 * connection, every token and every change between stream and long-poll.
 */
export interface Cursor {
  /** The last event id; empty for none. */
  readonly id: string;
  /** The last id that a request can carry: `id`, unless no header may have that one. */
  readonly resume: string;
  /** An event was delivered, a gap was told, or the application wants to stand here. */
  jump(id: string): void;
  /**
   * An event of a hub: whether it is news. What was delivered already comes again from a server or a cache that gives more than it
   * was asked for. A gap that was not told is news wherever it is, but only one that answers this very id leads back: that id
   * was never given out.
   */
  take(type: string, text: string, id: string): boolean;
  /** A position without an event. */
  pass(id: string): void;
}

/** @param unsendable told when an id comes that no request can carry, not with each such id */
export function createCursor(unsendable: () => void): Cursor {
  /** The last gap that was told. */
  let gap = "";
  const cursor = {
    id: "",
    resume: "",
    jump(id: string): void {
      const wasSendable = cursor.id === cursor.resume;
      cursor.id = id;
      // The stream goes on with the id before, rather than resume from nothing for one that cannot be sent.
      if (!id || headerOf(id)) cursor.resume = id;
      else if (wasSendable) unsendable();
    },
    take(type: string, text: string, id: string): boolean {
      const isGap = type === "gap";
      const leadsBack = isGap && id !== cursor.id && parse<Gap>(text).from === cursor.id;
      if (leadsBack || !isRepeat(id, cursor.id)) cursor.jump(id);
      else if (!isGap || text === gap) return false;
      if (isGap) gap = text;
      return true;
    },
    pass(id: string): void {
      if (!isRepeat(id, cursor.id)) cursor.jump(id);
    },
  };
  return cursor;
}

/** An id as the hub makes it: a random epoch and a sequence. Nobody else's ids look like this by accident. */
const HUB_ID = /^([0-9a-z]{12})-(\d{1,19})$/;

/**
 * Whether the event with `id` was delivered already, given the last one that was. Known only of ids that a hub made
 * in one and the same epoch; of any other the answer is no, because dropping it could lose it.
 */
export function isRepeat(id: string, last: string): boolean {
  const [, epoch, sequence = 0] = HUB_ID.exec(id) ?? [];
  const [, lastEpoch, lastSequence = 0] = HUB_ID.exec(last) ?? [];
  return !!epoch && epoch === lastEpoch && BigInt(sequence) <= BigInt(lastSequence);
}

/**
 * An id as a header value: its UTF-8 bytes, each as a character (Fetch, section 2.2.2). Empty if no header may carry
 * it: a reconnect must not throw.
 */
export function headerOf(id: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(id.slice(0, LAST_EVENT_ID_MAX + 1)));
  return bytes.length > LAST_EVENT_ID_MAX || /[^\t\x20-\x7e\x80-\xff]/.test(bytes) ? "" : bytes;
}
