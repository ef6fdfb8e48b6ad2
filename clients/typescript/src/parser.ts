import { SSEError } from "./errors.ts";
import { MAX_EVENT_BYTES } from "./limits.ts";

/** What a parser found, as soon as its last byte is there. */
export interface ParserSink {
  /** An event. `id` is the last event id: the event's `own`, or that of an earlier one. */
  onEvent(type: string, data: string, id: string, own: boolean): void;
  /** A block without data has an id. */
  onId?(id: string): void;
  /** `retry:`, milliseconds: any number that digits can say, so clamp it. */
  onRetry?(milliseconds: number): void;
  /** A comment, without its colon. Where nobody asks, comments are passed over without being kept. */
  onComment?: ((text: string) => void) | undefined;
}

/**
 * Makes a parser of `text/event-stream` in any pieces (WHATWG HTML, section 9.2.6). What it returns reads a chunk; it
 * throws an {@link SSEError} of kind `limit` if an event outgrows `maxEventBytes`, and reads nothing more then.
 *
 * Bytes in, events out at once: nothing waits for a byte that may never come. Bounded: it keeps at most one
 * unfinished event beside the chunk. A new connection takes a new parser.
 *
 * @param id the last event id of the connection before
 * @param maxEventBytes the largest event (and the largest unfinished line), UTF-16 units; default 1 MiB
 * @param live asked before each line: false ends the parser, and the rest of the chunk is not looked at
 */
export function createParser(
  sink: ParserSink,
  id = "",
  maxEventBytes = MAX_EVENT_BYTES,
  live: () => boolean = () => true,
): (bytes: Uint8Array) => void {
  /** Strips the first byte order mark, and only the first; keeps a character that is cut between two chunks. */
  const decoder = new TextDecoder();
  /** The unfinished line. */
  let rest = "";
  /** Its first character. Asking `rest` itself would copy all of it, with each chunk. */
  let first: string | undefined;
  /** The last chunk ended in CR: an LF that follows belongs to it. */
  let afterCr = false;
  let dead = false;
  /** Each line of data with an LF behind it; so an event without data differs from one with empty data. */
  let data = "";
  let type = "";
  /** This block has an `id:`. */
  let own = false;

  const dispatch = (): void => {
    const [oldType, oldData, oldOwn] = [type, data, own];
    data = type = "";
    own = false;
    if (oldData) sink.onEvent(oldType || "message", oldData.slice(0, -1), id, oldOwn);
    else if (oldOwn) sink.onId?.(id);
  };

  const finish = (line: string): void => {
    if (!line) return dispatch();
    const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) as RegExpExecArray;
    if (field === "") sink.onComment?.(line.slice(1));
    else if (field === "event") type = value;
    else if (field === "data") data += value + "\n";
    else if (field === "id" && !value.includes("\0")) {
      id = value;
      own = true;
    } else if (field === "retry" && /^\d+$/.test(value)) sink.onRetry?.(+value);
  };

  return (bytes) => {
    const text = decoder.decode(bytes, { stream: true });
    if (!text || dead) return;
    const lines = (afterCr ? text.replace(/^\n/, "") : text).split(/\r\n?|\n/);
    // Only the chunk is searched, never what was kept: a line in a million pieces costs as much as one in one.
    lines[0] = rest + lines[0];
    rest = lines.pop() as string;
    afterCr = text.endsWith("\r");
    for (const line of lines) {
      dead = !live();
      if (dead) return;
      finish(line);
    }
    if (lines.length || !first) first = rest[0];
    if (first === ":" && !sink.onComment) rest = first;
    if (data.length + rest.length <= maxEventBytes) return;
    dead = true;
    rest = data = "";
    throw new SSEError("limit", `event over ${maxEventBytes} bytes`);
  };
}
