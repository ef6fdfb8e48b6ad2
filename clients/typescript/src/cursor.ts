import { LAST_EVENT_ID_MAX } from "./limits.ts";

/**
 * Where a subscription stands: the id to resume from, whichever way events come. It belongs to the client and outlives every
 * connection, every token and every change between stream and long-poll.
 */
export class Cursor {
  #id = "";
  /** The last id that a request can carry: `id`, unless no header may have that one. */
  #resume = "";
  readonly #unsendable: () => void;

  /** @param unsendable told when an id comes that no request can carry, not with each such id */
  constructor(unsendable: () => void) {
    this.#unsendable = unsendable;
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
    const wasSendable = this.#id === this.#resume;
    this.#id = id;
    // The stream goes on with the id before, rather than resume from nothing for one that cannot be sent.
    if (!id || headerOf(id)) this.#resume = id;
    else if (wasSendable) this.#unsendable();
  }

  /** A position without an event. */
  pass(id: string): void {
    if (!this.isRepeat(id)) this.jump(id);
  }
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
