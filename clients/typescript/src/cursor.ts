import { isRepeat } from "./id.ts";
import { LAST_EVENT_ID_MAX } from "./limits.ts";

/**
 * Where a subscription stands: the id to resume from, whichever way events come. It belongs to the client and outlives every
 * connection, every token and every change between stream and long-poll.
 */
export class Cursor {
  #id: string;
  /** The last id that a request can carry: `id`, unless no header may have that one. */
  #resume = "";

  constructor(id: string) {
    this.#id = id;
    this.jump(id);
  }

  /** The last event id; empty for none. */
  get id(): string {
    return this.#id;
  }

  /** The id to send with the next request; empty for none. */
  get resume(): string {
    return this.#resume;
  }

  /** Whether an event with this id was delivered before. Known only of ids that a hub made. */
  isRepeat(id: string): boolean {
    return isRepeat(id, this.#id);
  }

  /** An event was delivered, a gap was told, or the application wants to stand here. */
  jump(id: string): void {
    this.#id = id;
    // The stream goes on with the id before, rather than resume from nothing for one that cannot be sent.
    if (!id || headerOf(id)) this.#resume = id;
  }

  /** A position without an event. */
  pass(id: string): void {
    if (!this.isRepeat(id)) this.jump(id);
  }
}

/**
 * An id as a header value: its UTF-8 bytes, each as a character (Fetch, section 2.2.2). Empty if no header may carry
 * it: a reconnect must not throw.
 */
export function headerOf(id: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(id.slice(0, LAST_EVENT_ID_MAX + 1)));
  return bytes.length > LAST_EVENT_ID_MAX || /[^\t\x20-\x7e\x80-\xff]/.test(bytes) ? "" : bytes;
}
