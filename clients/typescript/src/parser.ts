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
  onComment?: ((text: string) => void) | undefined;
  /** Asked after each line: false ends the parser, and the rest of the chunk is not looked at. */
  live?(): boolean;
}

/** Settings of a {@link Parser}. */
export interface ParserOptions {
  /** The last event id of the connection before. */
  lastEventId?: string | undefined;
  /** Largest event (and largest unfinished line) in UTF-16 units. Default 1 MiB. */
  maxEventBytes?: number | undefined;
}

/**
 * `text/event-stream` in any pieces (WHATWG HTML, section 9.2.6).
 *
 * Bytes in, events out at once: nothing waits for a byte that may never come. Bounded: it keeps at most one
 * unfinished event. A new connection takes a new parser, which is given the last event id.
 */
export class Parser {
  /**
   * Reads a chunk.
   *
   * @throws SSEError of kind `limit` if an event outgrows `maxEventBytes`; the parser is dead then.
   */
  readonly push: (bytes: Uint8Array) => void;

  constructor(sink: ParserSink, { lastEventId = "", maxEventBytes = MAX_EVENT_BYTES }: ParserOptions = {}) {
    /** Strips the first byte order mark, and only the first; keeps a character that is cut between two chunks. */
    const decoder = new TextDecoder();
    /** The unfinished line. */
    let rest = "";
    /** The unfinished line is a comment that nobody wants. */
    let skipping = false;
    /** The last chunk ended in CR: an LF that follows belongs to it. */
    let afterCr = false;
    let dead = false;
    /** Each line of data with an LF behind it; so an event without data differs from one with empty data. */
    let data = "";
    let type = "";
    let id = lastEventId;
    /** This block has an `id:`. */
    let own = false;

    const check = (more: number): void => {
      if (data.length + more <= maxEventBytes) return;
      dead = true;
      rest = data = "";
      throw new SSEError("limit", `an event is larger than ${maxEventBytes} bytes`);
    };

    const dispatch = (): void => {
      const event = [type || "message", data.slice(0, -1), id, own] as const;
      const hasData = data;
      data = type = "";
      own = false;
      if (hasData) sink.onEvent(...event);
      else if (event[3]) sink.onId?.(id);
    };

    const finish = (line: string): void => {
      if (!line) return dispatch();
      const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
      if (field === "") sink.onComment?.(line.slice(1));
      else if (field === "event") type = value;
      else if (field === "data") {
        check(value.length);
        data += value + "\n";
      } else if (field === "id" && !value.includes("\0")) {
        id = value;
        own = true;
      } else if (field === "retry" && /^\d+$/.test(value)) sink.onRetry?.(+value);
    };

    this.push = (bytes) => {
      const text = decoder.decode(bytes, { stream: true });
      const end = text.length;
      if (!end || dead) return;
      const find = (what: string): number => {
        const at = text.indexOf(what, start);
        return at < 0 ? end : at;
      };
      let start = afterCr && text[0] === "\n" ? 1 : 0;
      let lf = find("\n");
      let cr = find("\r");
      afterCr = false;
      while (lf < end || cr < end) {
        const at = Math.min(lf, cr);
        const line = rest + text.slice(start, at);
        start = at + 1;
        if (at === cr) {
          if (start === end) afterCr = true;
          else if (text[start] === "\n") start++;
          cr = find("\r");
        }
        if (lf < start) lf = find("\n");
        rest = "";
        if (skipping) skipping = false;
        else finish(line);
        dead = sink.live?.() === false;
        if (dead) return;
      }
      const piece = text.slice(start);
      if (!rest && piece[0] === ":" && !sink.onComment) skipping = true;
      if (skipping) return;
      rest += piece;
      check(rest.length);
    };
  }
}
