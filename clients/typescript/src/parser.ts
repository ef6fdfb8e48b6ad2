import { SSEError } from "./errors.ts";
import { COMMENT_BYTES_MAX, KEPT_BUFFER_BYTES, MAX_EVENT_BYTES } from "./limits.ts";

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

const LF = 10;
const CR = 13;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
/** The fields with a meaning, a comment's empty name, and what stands before their values. */
const FIELD = /^(|data|event|id|retry)(?:$|: ?)/;
/** `event: `, the longest of what {@link FIELD} matches: from so many bytes on it is known whether a line has a meaning. */
const FIELD_BYTES_MAX = 7;

/** Bytes that grow at their end. They become text when they are complete, with U+FFFD where they are no UTF-8. */
class ByteBuffer {
  bytes = new Uint8Array();
  #buffer = this.bytes;

  add(more: Uint8Array): void {
    const used = this.bytes.length;
    const length = used + more.length;
    if (length > this.#buffer.length) {
      this.#buffer = new Uint8Array(length * 2);
      this.#buffer.set(this.bytes);
    }
    this.#buffer.set(more, used);
    this.bytes = this.#buffer.subarray(0, length);
  }

  /** Empties it, and gives back what something large needed. */
  clear(): void {
    if (this.#buffer.length > KEPT_BUFFER_BYTES) this.#buffer = new Uint8Array();
    this.bytes = this.#buffer.subarray(0, 0);
  }
}

/** Also of bytes that are no UTF-8. A byte order mark within a stream is text. */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * An incremental parser of `text/event-stream` (WHATWG HTML, section 9.2.6): any bytes in, cut anywhere, events out at once.
 * Bounded: it holds at most one unfinished event. The twin of the Rust crates' parser; one table drives both.
 */
class Parser {
  readonly #sink: ParserSink;
  readonly #maxEventBytes: number;
  readonly #isLive: () => boolean;
  /** How much of a byte order mark was seen, while one may still come. */
  #markBytes = 0;
  #isAtStart = true;
  /** The last line ended in CR: an LF that follows belongs to it. */
  #isAfterCr = false;
  #isDead = false;
  /** The line, as far as it is read. */
  readonly #line = new ByteBuffer();
  /** Nothing is kept of the rest of the line: it has no meaning, or as much of the comment is there as is given. */
  #isSkipping = false;

  /** The event: its lines of data, each with an LF before it; its type, and its own id. */
  readonly #data = new ByteBuffer();
  #type = new Uint8Array();
  #ownId: Uint8Array | undefined;
  /** The last event id, which only a blank line changes. */
  #id: string;

  constructor(sink: ParserSink, id: string, maxEventBytes: number, isLive: () => boolean) {
    this.#sink = sink;
    this.#id = id;
    this.#maxEventBytes = maxEventBytes;
    this.#isLive = isLive;
  }

  push(chunk: Uint8Array): void {
    let at = this.#isAtStart ? this.#skipByteOrderMark(chunk) : 0;
    let cr = -1;
    while (at < chunk.length && !this.#isDead) {
      if (this.#isAfterCr && chunk[at] === LF) at++;
      this.#isAfterCr = false;
      // Each kind of line end is looked for once, not once for each line that ends with the other kind.
      if (cr < at) cr = indexOrEnd(chunk, CR, at);
      const end = at + indexOrEnd(chunk.subarray(at, cr), LF, 0);
      this.#addToLine(chunk.subarray(at, end));
      if (end >= chunk.length) return;
      this.#isDead = !this.#isLive();
      if (this.#isDead) return;
      this.#isAfterCr = chunk[end] === CR;
      at = end + 1;
      this.#endLine();
    }
  }

  /** Returns where the stream's first line goes on. Only the first mark of a stream is none of its text. */
  #skipByteOrderMark(chunk: Uint8Array): number {
    for (let at = 0; at < chunk.length; at++) {
      if (chunk[at] === BYTE_ORDER_MARK[this.#markBytes]) {
        this.#markBytes++;
      } else {
        this.#isAtStart = false;
        if (this.#markBytes < BYTE_ORDER_MARK.length) this.#addToLine(Uint8Array.from(BYTE_ORDER_MARK.slice(0, this.#markBytes)));
        return at;
      }
    }
    return chunk.length;
  }

  /** Takes bytes that hold no line end. */
  #addToLine(bytes: Uint8Array): void {
    if (this.#isSkipping) return;
    const line = this.#line;
    line.add(bytes);
    const { length } = line.bytes;
    if (length < FIELD_BYTES_MAX) return;
    const { name, at } = readField(line.bytes);
    if (name && name !== "retry") return this.#checkSize(length - at);
    const isComment = name === "";
    this.#isSkipping = name === undefined || length > COMMENT_BYTES_MAX;
    if (this.#isSkipping && !isComment) line.clear();
    else if (this.#isSkipping) line.bytes = line.bytes.subarray(0, COMMENT_BYTES_MAX + 1);
  }

  /** Data has an LF before each line, the first one's does not count. */
  #checkSize(more: number): void {
    const held = Math.max(this.#data.bytes.length - 1, 0) + this.#type.length + (this.#ownId?.length ?? 0);
    if (held + more <= this.#maxEventBytes) return;
    this.#isDead = true;
    this.#data.clear();
    this.#line.clear();
    throw new SSEError("limit", `event over ${this.#maxEventBytes} bytes`);
  }

  #endLine(): void {
    const { bytes } = this.#line;
    const isSkipping = this.#isSkipping;
    this.#isSkipping = false;
    this.#line.clear();
    if (!bytes.length) {
      if (!isSkipping) this.#endEvent();
      return;
    }
    const { name, at } = readField(bytes);
    const value = bytes.subarray(at);
    if (name === "data") {
      const { length } = this.#data.bytes;
      this.#checkSize(value.length + (length ? 1 : 0));
      this.#data.add(Uint8Array.of(LF));
      this.#data.add(value);
    } else if (name === "event" || name === "id") {
      this.#checkSize(value.length);
      if (name === "event") this.#type = value.slice();
      // One with NUL is no id.
      else if (!value.includes(0)) this.#ownId = value.slice();
    } else if (name === "retry") {
      const digits = utf8.decode(value);
      if (/^\d+$/.test(digits)) this.#sink.onRetry?.(Number(digits));
    } else if (name === "") {
      // Of a long one, not half a character at its end.
      this.#sink.onComment?.(utf8.decode(value, { stream: isSkipping }));
      utf8.decode();
    }
  }

  /** A blank line: the id counts from now on, and what has data is an event. */
  #endEvent(): void {
    const data = this.#data.bytes;
    const type = utf8.decode(this.#type) || "message";
    const own = !!this.#ownId;
    if (this.#ownId) this.#id = utf8.decode(this.#ownId);
    const text = utf8.decode(data.subarray(1));
    this.#data.clear();
    this.#type = new Uint8Array();
    this.#ownId = undefined;
    if (data.length) this.#sink.onEvent(type, text, this.#id, own);
    else if (own) this.#sink.onId?.(this.#id);
  }
}

/** The name of a line's field, and where its value begins. No name: the line has no meaning. Of a comment a space is text. */
function readField(line: Uint8Array): { name: string | undefined; at: number } {
  const [before = "", name] = FIELD.exec(String.fromCharCode(...line.subarray(0, FIELD_BYTES_MAX))) ?? [];
  return { name, at: name === "" ? 1 : before.length };
}

function indexOrEnd(bytes: Uint8Array, byte: number, from: number): number {
  const index = bytes.indexOf(byte, from);
  return index < 0 ? bytes.length : index;
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
