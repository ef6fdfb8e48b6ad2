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

type Sized = "data" | "event" | "id";

/** What an event holds of each field before its first line, bytes. */
const EMPTY: Readonly<Record<Sized, number>> = { data: 0, event: 0, id: 0 };

const LF = 10;
const CR = 13;
const SPACE = 32;
const COLON = 58;
/** `event` and `retry` are the longest names with a meaning. */
const NAME_LENGTH_MAX = 5;
/** A byte order mark, its bytes as characters. */
const BOM = "\xef\xbb\xbf";

/**
 * An incremental parser of `text/event-stream` (WHATWG HTML, section 9.2.6): any bytes in, cut anywhere, events out at once.
 * Bounded: it holds at most one unfinished event beside the chunk. The twin of the Rust crates' parser;
 * `clients/cases/parser-cases.json` drives both.
 */
class Parser {
  readonly #sink: ParserSink;
  readonly #maxEventBytes: number;
  readonly #isLive: () => boolean;
  /** Keeps a character that is cut between two chunks. Every value is decoded by itself, so no mark in one is the stream's. */
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** A byte order mark may still come. */
  #isAtStart = true;
  /** The last chunk ended in CR: an LF that follows belongs to it. */
  #isAfterCr = false;
  #isDead = false;

  /** The line's name, its bytes as characters; empty for a comment. Longer than any with a meaning: nothing is kept of the line. */
  #name = "";
  #isValue = false;
  #isSpaceSkipped = false;
  /** What is kept of the value, and how long it is, as it came, bytes. */
  #value = "";
  #valueBytes = 0;
  /** The number that a `retry` says so far; `NaN` if it is none. */
  #number: number | undefined;

  /** The event: its fields, and what they hold, bytes. */
  #event: Partial<Record<Sized, string>> = {};
  #sizes = { ...EMPTY };
  /** The last event id, which only a blank line changes. */
  #id: string;

  constructor(sink: ParserSink, id: string, maxEventBytes: number, isLive: () => boolean) {
    this.#sink = sink;
    this.#id = id;
    this.#maxEventBytes = maxEventBytes;
    this.#isLive = isLive;
  }

  push(bytes: Uint8Array): void {
    let start = this.#isAfterCr && bytes[0] === LF ? 1 : 0;
    this.#isAfterCr &&= !bytes.length;
    while (start < bytes.length) {
      let end = start;
      while (end < bytes.length && bytes[end] !== LF && bytes[end] !== CR) end++;
      this.#isDead ||= !this.#isLive();
      if (this.#isDead) return;
      this.#read(bytes.subarray(start, end));
      if (end === bytes.length) return;
      this.#endLine();
      start = end + 1;
      if (bytes[end] === LF) continue;
      if (start === bytes.length) this.#isAfterCr = true;
      else if (bytes[start] === LF) start++;
    }
  }

  /** Reads a part of a line. */
  #read(part: Uint8Array): void {
    let at = 0;
    while (!this.#isValue && at < part.length) {
      const byte = part[at++] as number;
      if (byte === COLON) this.#beginValue();
      else this.#name += String.fromCharCode(byte);
      if (this.#isAtStart && this.#name === BOM) {
        this.#isAtStart = false;
        this.#name = "";
      }
      this.#isValue ||= this.#name.length > NAME_LENGTH_MAX;
    }
    if (at === part.length) return;
    // One space is not part of a value. Of a comment it is.
    if (!this.#isSpaceSkipped && this.#name && part[at] === SPACE) at++;
    this.#isSpaceSkipped = true;
    this.#readValue(part.subarray(at));
  }

  #beginValue(): void {
    this.#isValue = true;
    // The LF between two lines of data.
    if (this.#name === "data" && this.#event.data !== undefined) this.#count(1);
  }

  #readValue(part: Uint8Array): void {
    if (this.#name === "retry") {
      for (const byte of part) this.#number = (this.#number ?? 0) * 10 + (byte >= 48 && byte < 58 ? byte - 48 : NaN);
    } else if (!this.#name || isSized(this.#name)) {
      const room = this.#name ? part.length : Math.max(COMMENT_BYTES_MAX - this.#valueBytes, 0);
      this.#count(part.length);
      this.#value += this.#decoder.decode(part.subarray(0, room), { stream: true });
    }
  }

  /** The value grows. @throws SSEError if the event, finished or not, holds too much then. */
  #count(bytes: number): void {
    const { data, event, id } = this.#sizes;
    this.#valueBytes += bytes;
    if (!this.#name || data + event + id + this.#valueBytes <= this.#maxEventBytes) return;
    this.#isDead = true;
    this.#value = "";
    this.#event = {};
    throw new SSEError("limit", `event over ${this.#maxEventBytes} bytes`);
  }

  #endLine(): void {
    const name = this.#name;
    if (!this.#isValue && name) this.#beginValue();
    const isBlank = !this.#isValue;
    const bytes = this.#valueBytes;
    // A character that the end of its line cuts off is none. One that we cut off is left out.
    const rest = bytes ? this.#decoder.decode() : "";
    const value = !name && bytes > COMMENT_BYTES_MAX ? this.#value : this.#value + rest;
    const number = this.#number;
    this.#isAtStart = this.#isValue = this.#isSpaceSkipped = false;
    this.#name = this.#value = "";
    this.#valueBytes = 0;
    this.#number = undefined;
    if (isBlank) this.#endEvent();
    else if (!name) this.#sink.onComment?.(value);
    else if (isSized(name)) this.#setField(name, value, bytes);
    else if (number! >= 0) this.#sink.onRetry?.(number!);
  }

  #setField(name: Sized, value: string, bytes: number): void {
    const { data } = this.#event;
    // One with NUL is no id.
    if (name === "id" && value.includes("\0")) return;
    const isMore = name === "data" && data !== undefined;
    this.#event[name] = isMore ? `${data}\n${value}` : value;
    this.#sizes[name] = isMore ? this.#sizes.data + bytes : bytes;
  }

  /** A blank line: the id counts from now on, and what has data is an event. */
  #endEvent(): void {
    const { event, data, id } = this.#event;
    this.#event = {};
    this.#sizes = { ...EMPTY };
    this.#id = id ?? this.#id;
    if (data !== undefined) this.#sink.onEvent(event || "message", data, this.#id, id !== undefined);
    else if (id !== undefined) this.#sink.onId?.(this.#id);
  }
}

/** Whether the value of a field counts as part of an event. */
function isSized(name: string): name is Sized {
  return Object.hasOwn(EMPTY, name);
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
