import table from "../../../cases/parser-cases.json" with { type: "json" };
import { SSEError } from "../../src/errors.ts";
import { createParser } from "../../src/parser.ts";

/** What a parser said, in order: `[type, data, id]` for an event. */
export interface Heard {
  events: [type: string, data: string, id: string][];
  comments: string[];
  retries: number[];
  /** The last event id, also of blocks without data. */
  lastEventId: string;
}

/** Text or bytes: a string, or parts of one. Long ones are written as repetitions. */
type Text = string | (string | { hex: string } | { repeat: string; times: number })[];

/** What a parser is told, and what it means (WHATWG HTML, section 9.2.6): each a trap that some client fell into. */
export interface Row {
  readonly name: string;
  readonly maxEventBytes: number | undefined;
  /** What follows is too large. */
  readonly isTooLarge: boolean;
  readonly chunks: Uint8Array[];
  readonly heard: Heard;
}

interface Case {
  name: string;
  maxEventBytes?: number;
  isTooLarge?: boolean;
  chunks: Text[];
  events: Text[][];
  comments: Text[];
  retries: (number | "beyond")[];
  lastEventId: Text;
}

/** The table that the Rust client is held to as well. */
export const ROWS: readonly Row[] = (table.cases as Case[]).map((row) => ({
  name: row.name,
  maxEventBytes: row.maxEventBytes,
  isTooLarge: row.isTooLarge ?? false,
  chunks: row.chunks.map(bytesOf),
  heard: {
    events: row.events.map((event) => event.map(textOf) as [string, string, string]),
    comments: row.comments.map(textOf),
    retries: row.retries.map((retry) => (retry === "beyond" ? Number.MAX_SAFE_INTEGER : retry)),
    lastEventId: textOf(row.lastEventId),
  },
}));

export function bytesOf(text: Text | (string | number[])[]): Uint8Array {
  const encoder = new TextEncoder();
  const parts = (typeof text === "string" ? [text] : text).map((part) => {
    if (typeof part === "string") return encoder.encode(part);
    if (Array.isArray(part)) return Uint8Array.from(part);
    if ("hex" in part) return Uint8Array.from(part.hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
    return encoder.encode(part.repeat.repeat(part.times));
  });
  return join(parts);
}

/** Chunks as one. */
export function join(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function textOf(text: Text): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytesOf(text));
}

/** What our parser makes of chunks. @throws what it throws. */
export function hear(chunks: Iterable<Uint8Array>, options: { comments?: boolean; maxEventBytes?: number | undefined } = {}): Heard {
  const heard: Heard = { events: [], comments: [], retries: [], lastEventId: "" };
  hearInto(heard, chunks, options);
  return heard;
}

/** What our parser makes of chunks until an event is too large, and whether one is. */
export function hearUntilLimit(chunks: Iterable<Uint8Array>, maxEventBytes: number | undefined): { heard: Heard; isTooLarge: boolean } {
  const heard: Heard = { events: [], comments: [], retries: [], lastEventId: "" };
  try {
    hearInto(heard, chunks, { maxEventBytes });
    return { heard, isTooLarge: false };
  } catch (error) {
    if (!(error instanceof SSEError) || error.kind !== "limit") throw error;
    return { heard, isTooLarge: true };
  }
}

function hearInto(
  heard: Heard,
  chunks: Iterable<Uint8Array>,
  options: { comments?: boolean; maxEventBytes?: number | undefined },
): void {
  const push = createParser(
    {
      onEvent: (type, data, id) => {
        heard.events.push([type, data, id]);
        heard.lastEventId = id;
      },
      onId: (id) => {
        heard.lastEventId = id;
      },
      onRetry: (milliseconds) => heard.retries.push(Math.min(milliseconds, Number.MAX_SAFE_INTEGER)),
      ...(options.comments !== false && { onComment: (text: string) => heard.comments.push(text) }),
    },
    "",
    options.maxEventBytes,
  );
  for (const chunk of chunks) push(chunk);
}

/** Pieces of equal size. */
export function* pieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Pieces that end where `cuts` says, each a fraction of the whole. */
export function* cut(bytes: Uint8Array, cuts: readonly number[]): Generator<Uint8Array> {
  let start = 0;
  for (const at of [...cuts].map((fraction) => Math.floor(fraction * bytes.length)).sort((a, b) => a - b)) {
    yield bytes.subarray(start, at);
    start = at;
  }
  yield bytes.subarray(start);
}

/** A small seeded generator of numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
