import { SSEError } from "./errors.ts";
import { COMMENT_BYTES_MAX, MAX_EVENT_BYTES } from "./limits.ts";

/** What a parser found, as soon as its last byte is there. */
export interface ParserSink {
  /** An event. `id` is the last event id: the event's `own`, or that of an earlier one. */
  onEvent(type: string, data: string, id: string, own: boolean): void;
  /** A block without data has an id. */
  onId?(id: string): void;
  /** `retry:`, milliseconds: any number that digits can say, so clamp it. */
  onRetry?(milliseconds: number): void;
  /** A comment, without its colon; of a long one its first 1,024 bytes. */
  onComment?: ((text: string) => void) | undefined;
}

/** The fields with a meaning, a comment's empty name, and what stands before their values. Of a comment a space is text. */
const FIELD = /^(?:(data|event|id|retry)(?:: ?|$)|:)/;
/** `event: `, the longest of what {@link FIELD} matches: with so many characters it is known whether a line has a meaning. */
const FIELD_LENGTH = 7;

type Sized = "data" | "event" | "id";

/** What an event holds of each field before its first line, bytes. */
const EMPTY: Readonly<Record<Sized, number>> = { data: 0, event: 0, id: 0 };

const encoder = new TextEncoder();
const sizeOf = (text: string): number => encoder.encode(text).length;

/**
 * An incremental parser of `text/event-stream` (WHATWG HTML, section 9.2.6): any bytes in, cut anywhere, events out at once.
 * Bounded: it holds at most one unfinished event beside the chunk. The twin of the Rust crates' parser; one table drives both.
 */
class Parser {
  readonly #sink: ParserSink;
  readonly #maxEventBytes: number;
  readonly #isLive: () => boolean;
  /** Strips the first byte order mark, and only the first; keeps a character that is cut between two chunks. */
  readonly #decoder = new TextDecoder();
  /** The unfinished line, its first characters (asking the line itself would copy all of it, with each chunk), and its size. */
  #line = "";
  #head = "";
  #lineBytes = 0;
  /** The last chunk ended in CR: an LF that follows belongs to it. */
  #isAfterCr = false;
  #isDead = false;

  /** The event: its fields as they came, and what they hold, bytes. */
  #event: Partial<Record<Sized, string>> = {};
  #sizes = EMPTY;
  /** The last event id, which only a blank line changes. */
  #id: string;

  constructor(sink: ParserSink, id: string, maxEventBytes: number, isLive: () => boolean) {
    this.#sink = sink;
    this.#id = id;
    this.#maxEventBytes = maxEventBytes;
    this.#isLive = isLive;
  }

  push(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (!text || this.#isDead) return;
    // Only the chunk is searched, never what was kept: a line in a million pieces costs as much as one in one.
    const lines = (this.#isAfterCr ? text.replace(/^\n/, "") : text).split(/\r\n?|\n/);
    this.#isAfterCr = text.endsWith("\r");
    const rest = lines.pop() as string;
    if (lines.length) {
      lines[0] = this.#line + lines[0];
      this.#line = this.#head = "";
      this.#lineBytes = 0;
    }
    for (const line of lines) {
      this.#isDead = !this.#isLive();
      if (this.#isDead) return;
      this.#endLine(line);
    }
    this.#keep(rest);
  }

  /** Keeps the part of a line that is not whole yet: of one without a meaning its head, of a comment as much as is given. */
  #keep(part: string): void {
    this.#line += part;
    this.#lineBytes += sizeOf(part);
    if (this.#head.length < FIELD_LENGTH) this.#head = this.#line.slice(0, FIELD_LENGTH);
    if (this.#head.length < FIELD_LENGTH) return;
    const [before, name] = FIELD.exec(this.#head) ?? [];
    if (!before) this.#line = this.#head;
    else if (isSized(name)) this.#sizesWith(name, this.#lineBytes - before.length);
    else if (this.#lineBytes > 2 * COMMENT_BYTES_MAX) this.#line = this.#line.slice(0, COMMENT_BYTES_MAX + 1);
  }

  /** What the event holds with this field in it. @throws SSEError if that is too much. */
  #sizesWith(name: Sized, bytes: number): typeof EMPTY {
    const before = name === "data" && this.#event.data !== undefined ? this.#sizes.data + 1 : 0;
    const sizes = { ...this.#sizes, [name]: before + bytes };
    if (sizes.data + sizes.event + sizes.id <= this.#maxEventBytes) return sizes;
    this.#isDead = true;
    this.#line = "";
    this.#event = {};
    throw new SSEError("limit", `event over ${this.#maxEventBytes} bytes`);
  }

  #endLine(line: string): void {
    if (!line) return this.#endEvent();
    const [before, name] = FIELD.exec(line) ?? [];
    if (!before) return;
    const value = line.slice(before.length);
    if (isSized(name)) {
      const sizes = this.#sizesWith(name, sizeOf(value));
      // One with NUL is no id.
      if (name === "id" && value.includes("\0")) return;
      const { data } = this.#event;
      this.#event[name] = name === "data" && data !== undefined ? `${data}\n${value}` : value;
      this.#sizes = sizes;
    } else if (!name) {
      this.#sink.onComment?.(cut(value));
    } else if (/^\d+$/.test(value)) {
      this.#sink.onRetry?.(Number(value));
    }
  }

  /** A blank line: the id counts from now on, and what has data is an event. */
  #endEvent(): void {
    const { event, data, id } = this.#event;
    this.#event = {};
    this.#sizes = EMPTY;
    this.#id = id ?? this.#id;
    if (data !== undefined) this.#sink.onEvent(event || "message", data, this.#id, id !== undefined);
    else if (id !== undefined) this.#sink.onId?.(this.#id);
  }
}

/** Whether the value of a field counts as part of an event. */
function isSized(name: string | undefined): name is Sized {
  return !!name && name !== "retry";
}

/** As much of a comment as is given, in whole characters. */
function cut(comment: string): string {
  return comment.slice(0, encoder.encodeInto(comment, new Uint8Array(COMMENT_BYTES_MAX)).read);
}

/**
 * Makes a parser of `text/event-stream` in any pieces. What it returns reads a chunk; it throws an {@link SSEError} of kind
 * `limit` if an event outgrows `maxEventBytes`, and reads nothing more then. A new connection takes a new parser.
 *
 * @param id the last event id of the connection before
 * @param maxEventBytes what an event may hold, bytes: its data, type and id as they came. Default 1 MiB
 * @param isLive asked before each line: false ends the parser, and the rest of the chunk is not looked at
 */
export function createParser(
  sink: ParserSink,
  id = "",
  maxEventBytes = MAX_EVENT_BYTES,
  isLive: () => boolean = () => true,
): (bytes: Uint8Array) => void {
  const parser = new Parser(sink, id, maxEventBytes, isLive);
  return (bytes) => parser.push(bytes);
}
