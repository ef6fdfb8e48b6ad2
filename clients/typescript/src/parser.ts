import { SSEError } from "./errors.ts";
import { MAX_EVENT_BYTES } from "./limits.ts";

/** What a {@link Parser} found, as soon as its last byte is there. */
export interface ParserSink {
  /** An event. `id` is the last event id: the event's `own`, or that of an earlier one. */
  onEvent(type: string, data: string, id: string, own: boolean): void;
  /** A block without data changed the last event id. */
  onId?(id: string): void;
  /** `retry:`, milliseconds: any number that digits can say, so clamp it. */
  onRetry?(milliseconds: number): void;
  /** A comment, without its colon. Where nobody asks, comments are passed over without being kept. */
  onComment?(text: string): void;
}

/** Settings of a {@link Parser}. */
export interface ParserOptions {
  /** The last event id of the connection before. */
  lastEventId?: string | undefined;
  /** Largest event (and largest unfinished line) in UTF-16 units. */
  maxEventBytes?: number | undefined;
}

/**
 * `text/event-stream` in any pieces (WHATWG HTML, section 9.2.6).
 *
 * Bytes in, events out at once: nothing waits for a byte that may never come. Bounded: it keeps at most one
 * unfinished event. A new connection takes a new parser, which is given the last event id.
 */
export class Parser {
  #sink: ParserSink;
  #max: number;
  /** Strips the first byte order mark, and only the first; keeps a character that is cut between two chunks. */
  #decoder = new TextDecoder();
  /** The unfinished line. */
  #rest = "";
  /** The unfinished line is a comment that nobody wants. */
  #skipping = false;
  /** The last chunk ended in CR: an LF that follows belongs to it. */
  #afterCr = false;
  #stopped = false;
  /** Each line of data with an LF behind it; so an event without data differs from one with empty data. */
  #data = "";
  #type = "";
  #id: string;
  /** This block has an `id:`. */
  #own = false;
  #committedId: string;

  constructor(sink: ParserSink, options: ParserOptions = {}) {
    this.#sink = sink;
    this.#max = options.maxEventBytes ?? MAX_EVENT_BYTES;
    this.#id = this.#committedId = options.lastEventId ?? "";
  }

  /** The last event id that a finished block has set: what the next request resumes from. */
  get lastEventId(): string {
    return this.#committedId;
  }

  /** Nothing more is emitted, not even the rest of the chunk that is being read. */
  stop(): void {
    this.#stopped = true;
    this.#rest = this.#data = "";
  }

  /**
   * Reads a chunk.
   *
   * @throws SSEError of kind `limit` if an event outgrows `maxEventBytes`; the parser is stopped then.
   */
  push(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    const end = text.length;
    if (end === 0 || this.#stopped) return;
    let start = this.#afterCr && text[0] === "\n" ? 1 : 0;
    this.#afterCr = false;
    let lf = find(text, "\n", start);
    let cr = find(text, "\r", start);
    while (lf < end || cr < end) {
      const at = Math.min(lf, cr);
      const line = text.slice(start, at);
      start = at + 1;
      if (at === cr) {
        if (start === end) this.#afterCr = true;
        else if (text[start] === "\n") start++;
        cr = find(text, "\r", start);
      }
      if (lf < start) lf = find(text, "\n", start);
      this.#finish(line);
      if (this.#stopped) return;
    }
    this.#keep(text.slice(start));
  }

  /** A line is complete: what was kept of it and its last piece. */
  #finish(piece: string): void {
    const line = this.#rest + piece;
    this.#rest = "";
    if (this.#skipping) this.#skipping = false;
    else this.#line(line);
  }

  /** The end of a chunk that is no end of a line. */
  #keep(piece: string): void {
    if (this.#skipping || !piece) return;
    if (!this.#rest && piece[0] === ":" && !this.#sink.onComment) {
      this.#skipping = true;
      return;
    }
    this.#rest += piece;
    this.#check(this.#rest.length);
  }

  #check(more: number): void {
    if (this.#data.length + more <= this.#max) return;
    this.stop();
    throw new SSEError("limit", `an event is larger than ${this.#max} bytes`);
  }

  #line(line: string): void {
    if (!line) return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return this.#sink.onComment?.(line.slice(1));
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "data") {
      this.#check(value.length);
      this.#data += value + "\n";
    } else if (field === "event") {
      this.#type = value;
    } else if (field === "id") {
      if (value.includes("\0")) return;
      this.#id = value;
      this.#own = true;
    } else if (field === "retry" && /^\d+$/.test(value)) {
      this.#sink.onRetry?.(Number(value));
    }
  }

  #dispatch(): void {
    const data = this.#data;
    const type = this.#type || "message";
    const own = this.#own;
    const before = this.#committedId;
    this.#own = false;
    this.#data = this.#type = "";
    this.#committedId = this.#id;
    if (data) this.#sink.onEvent(type, data.slice(0, -1), this.#id, own);
    else if (this.#id !== before) this.#sink.onId?.(this.#id);
  }
}

/** Where `what` is next, or a place behind the text. */
function find(text: string, what: string, from: number): number {
  const at = text.indexOf(what, from);
  return at < 0 ? Infinity : at;
}
