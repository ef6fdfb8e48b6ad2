import { createParser } from "../../src/parser.ts";

/** What a parser said, in order: `[type, data, id]` for an event. */
export interface Heard {
  events: [type: string, data: string, id: string][];
  comments: string[];
  retries: number[];
  /** The last event id, also of blocks without data. */
  lastEventId: string;
}

/** One row: bytes, and what they mean. Events are data, or `[type, data]`, or `[type, data, id]`. */
export interface Row {
  row: number;
  name: string;
  wire: (string | number[])[];
  events: (string | [string, string] | [string, string, string])[];
  comments?: string[];
  retries?: number[];
  lastEventId?: string;
}

const BOM = [0xef, 0xbb, 0xbf];
const MANY = ":".repeat(2048);

/** Bytes and their meaning (WHATWG HTML, section 9.2.6), each a trap that some client fell into. */
export const ROWS: Row[] = [
  { row: 1, name: "only the first BOM goes; a later one is part of a field's name", wire: [BOM, "data:1\n\n", BOM, "data:2\n\ndata:3\n\n"], events: ["1", "3"] },
  { row: 2, name: "the second of two BOMs poisons the first line", wire: [BOM, BOM, "data:1\n\ndata:2\n\n"], events: ["2"] },
  { row: 3, name: "a BOM before the first line", wire: [BOM, "data:a\n\n"], events: ["a"] },
  { row: 3, name: "EF BB that is no BOM stays", wire: ["data:", [0xef, 0xbb], "\n\n"], events: ["\ufffd"] },
  { row: 3, name: "EF BB at the start that is no BOM poisons the line", wire: [[0xef, 0xbb], "data:a\n\ndata:b\n\n"], events: ["b"] },
  { row: 4, name: "U+FEFF within a value stays", wire: ["data:a", BOM, "b\n\n"], events: ["a\ufeffb"] },
  {
    row: 5,
    name: "comments among all kinds of line ends",
    wire: [`data:1\r:\0\n:\r\ndata:2\n${MANY}\rdata:3\n:data:fail\r${MANY}\ndata:4\n\n`],
    events: ["1\n2\n3\n4"],
    comments: ["\0", "", MANY.slice(1, 1025), "data:fail", MANY.slice(1, 1025)],
  },
  { row: 6, name: "CR alone ends lines", wire: ["data:a\r\rdata:b\r\r"], events: ["a", "b"] },
  { row: 7, name: "CR LF CR LF is one empty line", wire: ["data:x\r\n\r\n"], events: ["x"] },
  { row: 8, name: "CR LF is one end of a line", wire: ["data:x\r\ndata:y\r\n\r\n"], events: ["x\ny"] },
  { row: 9, name: "a bare field name is an empty value", wire: ["data:test\r\ndata\ndata:test\r\n\r\n"], events: ["test\n\ntest"] },
  { row: 10, name: "empty data is an event, unfinished data is none", wire: ["data:\n\ndata\ndata\n\ndata:test"], events: ["", "\n"] },
  { row: 11, name: "an empty first line of data counts", wire: ["data:\ndata:x\n\n"], events: ["\nx"] },
  { row: 12, name: "NUL is data", wire: ["data:\0\n\n"], events: ["\0"] },
  {
    row: 13,
    name: "fields that only look like data",
    wire: ["data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n"],
    events: ["\0\n 2\n1\n3\n\n4"],
  },
  {
    row: 14,
    name: "unknown fields",
    wire: ["data:test\n data\ndata\nfoobar:xxx\njustsometext\n:c\ndata:test\n\n"],
    events: ["test\n\ntest"],
    comments: ["c"],
  },
  { row: 15, name: "row u: a block of unknown fields before any id is no error", wire: ["foo: bar\n\ndata:a\n\n"], events: ["a"] },
  { row: 16, name: "a field named comment is no comment", wire: ["comment: x\ndata:a\n\n"], events: ["a"] },
  { row: 17, name: "one space goes, no tab and no second space", wire: ["data:\ttest\rdata: \ndata:test\n\ndata:  b\n\n"], events: ["\ttest\n\ntest", " b"] },
  { row: 18, name: "an empty type is message", wire: ["event: \ndata:x\n\n"], events: [["message", "x"]] },
  { row: 18, name: "a type without data is forgotten", wire: ["event:a\n\ndata:x\n\n"], events: [["message", "x"]] },
  { row: 19, name: "a type is for one event", wire: ["event:test\ndata:x\n\ndata:x\n\n"], events: [["test", "x"], ["message", "x"]] },
  { row: 20, name: "the last type counts", wire: ["event:a\nevent:b\ndata:x\n\n"], events: [["b", "x"]] },
  {
    row: 21,
    name: "ids are inherited",
    wire: ["id: 1\ndata: 1\n\ndata: 2\n\nid: 2\ndata:3\n\ndata:4\n\n"],
    events: [["message", "1", "1"], ["message", "2", "1"], ["message", "3", "2"], ["message", "4", "2"]],
    lastEventId: "2",
  },
  ...["id:", "id", "id: "].map((id): Row => ({
    row: 22,
    name: `${JSON.stringify(id)} takes the id back`,
    wire: [`id: 1\ndata:1\n\n${id}\ndata:2\n\ndata:3\n\n`],
    events: [["message", "1", "1"], ["message", "2", ""], ["message", "3", ""]],
  })),
  ...["x\0y", "\0\0", "x\0", "\0x", " \0"].map((id): Row => ({
    row: 23,
    name: `an id with NUL (${JSON.stringify(id)}) is ignored`,
    wire: [`id:1\ndata:0\n\nid: ${id}\ndata:h\n\n`],
    events: [["message", "0", "1"], ["message", "h", "1"]],
    lastEventId: "1",
  })),
  { row: 24, name: "an id without data counts", wire: ["id:9\n\n"], events: [], lastEventId: "9" },
  {
    row: 26,
    name: "an unfinished block is dropped, its id with it",
    wire: ["id:a\ndata:x\n\nid:b\ndata:y\n"],
    events: [["message", "x", "a"]],
    lastEventId: "a",
  },
  { row: 27, name: "an id of any characters", wire: ["id:é☃\ndata:x\n\n"], events: [["message", "x", "é☃"]], lastEventId: "é☃" },
  { row: 28, name: "retry is digits", wire: ["retry:03000\n\nretry: 1234\n"], events: [], retries: [3000, 1234] },
  {
    row: 28,
    name: "anything else is no retry",
    wire: [...["1000x", "+1", "-1", "1.5", "1e3", "0x10", "1_000", "１２", ""].map((value) => `retry:${value}\n`), "retry\ndata:a\n\n"],
    events: ["a"],
    retries: [],
  },
  { row: 30, name: "bytes that are no UTF-8", wire: ["data:a", [0xff], "b\n\n:", [0xff], "\ndata:c\n\n"], events: ["a\ufffdb", "c"], comments: ["\ufffd"] },
  { row: 30, name: "a character cut off by the end of its line", wire: ["data:", [0xe2, 0x82], "\ndata:x\n\n"], events: ["\ufffd\nx"] },
  { row: 30, name: "an overlong form", wire: ["data:", [0xc0, 0x80], "\n\ndata:x\n\n"], events: ["\ufffd\ufffd", "x"] },
  { row: 30, name: "half of a surrogate pair", wire: ["data:", [0xed, 0xa0, 0x80], "\n\ndata:x\n\n"], events: ["\ufffd\ufffd\ufffd", "x"] },
  { row: 31, name: "row r: characters of two, three and four bytes", wire: ["data:é€😀\n\n"], events: ["é€😀"] },
  { row: 32, name: "no other character ends a line", wire: ["data:a\u2028b\u0085c\vd\fe\u2029f\n\n"], events: ["a\u2028b\u0085c\vd\fe\u2029f"] },
  { row: 33, name: "only the first colon counts", wire: ["data:a:b: c\n\n"], events: ["a:b: c"] },
  { row: 34, name: "names of Object.prototype", wire: ["__proto__: x\nconstructor: y\ntoString: z\ndata:a\n\n"], events: ["a"] },
  { row: 34, name: "types that are names of Object.prototype", wire: ["event:__proto__\ndata:a\n\nevent:toString\ndata:b\n\n"], events: [["__proto__", "a"], ["toString", "b"]] },
  { row: 38, name: "empty lines are nothing", wire: ["\n".repeat(10_000), "\r\n\r\r\n"], events: [] },
  { row: 39, name: "data and LF is no event yet", wire: ["data:x\n"], events: [] },
  { row: 39, name: "data without LF is no event yet", wire: ["data:x"], events: [] },
  { row: 39, name: "data, LF and CR is one", wire: ["data:x\n\r"], events: ["x"] },
];

export function bytesOf(wire: (string | number[])[]): Uint8Array {
  const encoder = new TextEncoder();
  return Uint8Array.from(wire.flatMap((part) => (typeof part === "string" ? [...encoder.encode(part)] : part)));
}

/** What a row means. */
export function meaning({ events, comments = [], retries = [], lastEventId = "" }: Row): Heard {
  return {
    events: events.map((event) => {
      const [type, data, id = ""] = typeof event === "string" ? ["message", event] : event;
      return [type, data, id];
    }),
    comments,
    retries,
    lastEventId,
  };
}

/** What our parser makes of chunks. */
export function hear(chunks: Iterable<Uint8Array>, options: { comments?: boolean; maxEventBytes?: number } = {}): Heard {
  const heard: Heard = { events: [], comments: [], retries: [], lastEventId: "" };
  const push = createParser(
    {
      onEvent: (type, data, id) => {
        heard.events.push([type, data, id]);
        heard.lastEventId = id;
      },
      onId: (id) => {
        heard.lastEventId = id;
      },
      onRetry: (milliseconds) => heard.retries.push(milliseconds),
      ...(options.comments !== false && { onComment: (text: string) => heard.comments.push(text) }),
    },
    "",
    options.maxEventBytes,
  );
  for (const chunk of chunks) push(chunk);
  return heard;
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
