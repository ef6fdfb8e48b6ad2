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

const LF = 10;
const CR = 13;
const SPACE = 32;
const COLON = 58;
/** The fields that an event is made of: what they hold counts. */
const FIELDS = ["data", "event", "id"];
/** `event` and `retry` are the longest names with a meaning. */
const NAME_LENGTH_MAX = 5;
/** A byte order mark, its bytes as characters. */
const BOM = "\xef\xbb\xbf";

/** A field of the event that is not finished yet. */
interface Field {
  readonly text: string;
  /** How long it is, as it came. */
  readonly bytes: number;
}

/** An event has outgrown `maxEventBytes`, whichever way it came. */
export function tooLarge(maxEventBytes: number): SSEError {
  return new SSEError("limit", `event over ${maxEventBytes} bytes`);
}

/**
 * Cuts bytes at line ends: LF, CR, or CR LF.
 *
 * @param read takes a part of a line; what it returns says whether to go on
 */
function createLines(read: (part: Uint8Array) => boolean, endLine: () => void): (bytes: Uint8Array) => void {
  let isAfterCr = false;
  return (bytes) => {
    for (let start = 0; start < bytes.length; ) {
      let end = start;
      while (end < bytes.length && bytes[end] !== LF && bytes[end] !== CR) end++;
      // An LF after a CR belongs to it.
      if (!isAfterCr || end > start || bytes[end] === CR) {
        if (!read(bytes.subarray(start, end))) return;
        if (end < bytes.length) endLine();
      }
      isAfterCr = bytes[end] === CR;
      start = end + 1;
    }
  };
}

/**
 * Makes a parser of `text/event-stream` (WHATWG HTML, section 9.2.6) in any pieces: events come out with their last byte. It
 * holds at most one unfinished event beside the chunk. The twin of the Rust crates' parser; `clients/cases/parser-cases.json`
 * drives both.
 *
 * What it returns reads a chunk; it throws an {@link SSEError} of kind `limit` if an event outgrows `maxEventBytes`, and reads
 * nothing more then. A new connection takes a new parser.
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
  // Keeps a character that is cut between two chunks. Every value is decoded by itself, so no mark in one is the stream's.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const fields = new Map<string, Field>();
  let isDead = false;
  /** A byte order mark may still come. */
  let isAtStart = true;
  /** What comes next of the line. Nothing is kept of a value whose name is longer than any with a meaning. */
  let next: "name" | "space" | "value" = "name";
  /** Bytes as characters; empty for a comment. */
  let name = "";
  /** What is kept of the value, and how long it is, as it came. */
  let value = "";
  let valueBytes = 0;
  /** The number that a `retry` says so far; `NaN` if it is none. */
  let number: number | undefined;

  /** The value grows. @throws SSEError if the event, finished or not, holds too much then. */
  const count = (bytes: number): void => {
    valueBytes += bytes;
    if (!FIELDS.includes(name)) return;
    // The LF between two lines of data counts, too.
    let held = valueBytes + (name === "data" && fields.has(name) ? 1 : 0);
    for (const field of fields.values()) held += field.bytes;
    if (held <= maxEventBytes) return;
    isDead = true;
    value = "";
    fields.clear();
    throw tooLarge(maxEventBytes);
  };

  const readValue = (part: Uint8Array): void => {
    if (name === "retry") {
      for (const byte of part) number = (number ?? 0) * 10 + (byte >= 48 && byte < 58 ? byte - 48 : NaN);
    } else if (!name || FIELDS.includes(name)) {
      const room = name ? part.length : Math.max(COMMENT_BYTES_MAX - valueBytes, 0);
      count(part.length);
      value += decoder.decode(part.subarray(0, room), { stream: true });
    }
  };

  const read = (part: Uint8Array): boolean => {
    isDead ||= !isLive();
    if (isDead) return false;
    let at = 0;
    while (next === "name" && at < part.length) {
      const byte = part[at++] as number;
      if (byte === COLON) next = "space";
      else name += String.fromCharCode(byte);
      if (isAtStart && name === BOM) {
        isAtStart = false;
        name = "";
      }
      if (name.length > NAME_LENGTH_MAX) next = "value";
    }
    if (at === part.length) return true;
    // One space is not part of a value. Of a comment it is.
    if (next === "space" && name && part[at] === SPACE) at++;
    next = "value";
    readValue(part.subarray(at));
    return true;
  };

  /** A blank line: the id counts from now on, and what has data is an event. */
  const endEvent = (): void => {
    const [data, type, own] = FIELDS.map((field) => fields.get(field));
    fields.clear();
    id = own ? own.text : id;
    if (data) sink.onEvent(type?.text || "message", data.text, id, !!own);
    else if (own) sink.onId?.(id);
  };

  const endField = (field: string, text: string, bytes: number): void => {
    const before = field === "data" && fields.get(field);
    // An id with NUL is none.
    if (field === "id" && text.includes("\0")) return;
    fields.set(field, before ? { text: `${before.text}\n${text}`, bytes: before.bytes + bytes + 1 } : { text, bytes });
  };

  const endLine = (): void => {
    count(0);
    const isBlank = next === "name" && !name;
    const [field, bytes, retry] = [name, valueBytes, number];
    // A character that the end of its line cuts off is none. One that we cut off is left out.
    const rest = decoder.decode();
    const text = !field && bytes > COMMENT_BYTES_MAX ? value : value + rest;
    isAtStart = false;
    next = "name";
    name = value = "";
    valueBytes = 0;
    number = undefined;
    if (isBlank) endEvent();
    else if (!field) sink.onComment?.(text);
    else if (FIELDS.includes(field)) endField(field, text, bytes);
    else if (retry! >= 0) sink.onRetry?.(retry!);
  };

  return createLines(read, endLine);
}
