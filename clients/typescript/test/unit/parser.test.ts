import { describe, expect, test, vi, type Mock } from "vitest";
import { SSEError } from "../../src/errors.ts";
import { createParser, type ParserSink } from "../../src/parser.ts";
import { bytesOf, hear, pieces } from "../kit/wire.ts";

const bytes = (text: string): Uint8Array => bytesOf([text]);

/** How many events there are after each chunk. */
function counts(...chunks: string[]): number[] {
  let count = 0;
  const push = createParser({ onEvent: () => count++ });
  return chunks.map((chunk) => (push(bytes(chunk)), count));
}

describe("an event is told with its last byte, whatever may follow", () => {
  test("6: CR CR, without waiting for an LF", () => {
    expect(counts("data:a\r\r", "data:b\r", "\r")).toEqual([1, 1, 2]);
  });
  test("7: CR | LF CR | LF is one event, and is told at the second CR", () => {
    expect(counts("data:x\r", "\n\r", "\n")).toEqual([0, 1, 1]);
    expect(counts("data:x\r", "\n", "\r", "\n")).toEqual([0, 0, 1, 1]);
  });
  test("8: CR | LF within an event", () => {
    expect(hear([bytes("data:x\r"), bytes("\ndata:y\r\n\r\n")]).events).toEqual([["message", "x\ny", ""]]);
  });
  test("an LF that belongs to a CR ends no line of the next event", () => {
    expect(counts("data:a\r\n\r", "\ndata:b\n\n")).toEqual([1, 2]);
    expect(counts("data:a\r\r", "\n\n", "data:b\n\n")).toEqual([1, 1, 2]);
  });
  test("39: data, LF, CR", () => expect(counts("data:x\n", "\r")).toEqual([0, 1]));
  test("empty chunks change nothing", () => expect(counts("data:x\r", "", "\n", "", "\n")).toEqual([0, 0, 0, 0, 1]));
  test("a byte of a BOM between CR and LF does not part them", () => {
    expect(hear([bytes("data:x\r"), Uint8Array.of(), bytes("\ndata:y\n\n")]).events).toEqual([["message", "x\ny", ""]]);
  });
});

test("row s, 3: a BOM in three chunks goes", () => {
  const all = bytesOf([[0xef, 0xbb, 0xbf], "data:a\n\n"]);
  expect(hear(pieces(all, 1)).events).toEqual([["message", "a", ""]]);
});

test("25: a parser goes on from the id of the connection before", () => {
  const events: string[][] = [];
  const push = createParser({ onEvent: (_, data, id, own) => events.push([data, id, String(own)]) }, "7");
  push(bytes("data:b\n\nid:8\ndata:c\n\n"));
  expect(events).toEqual([["b", "7", "false"], ["c", "8", "true"]]);
});

test("40: what ends the parser in its first event ends it for the rest of the chunk", () => {
  let live = true;
  const seen: string[] = [];
  const push = createParser(
    {
      onEvent: (_, data) => {
        seen.push(data);
        live = false;
      },
    },
    "",
    undefined,
    () => live,
  );
  push(bytes("data:1\n\ndata:2\n\ndata:3\n\n"));
  push(bytes("data:4\n\n"));
  expect(seen).toEqual(["1"]);
});

test("40: a hundred events of one chunk come in order", () => {
  const numbers = Array.from({ length: 100 }, (_, number) => String(number));
  const all = bytes(numbers.map((number) => `data:${number}\n\n`).join(""));
  expect(hear([all]).events.map(([, data]) => data)).toEqual(numbers);
});

describe("bounds", () => {
  const sink = (): { onEvent: Mock<ParserSink["onEvent"]> } => ({ onEvent: vi.fn() });
  const limit = expect.objectContaining({ kind: "limit", retryable: false }) as SSEError;

  test("35: a line that never ends is a typed error, and nothing is read on", () => {
    const events = sink();
    const push = createParser(events, "", 1_000);
    const piece = bytes("data:" + "x".repeat(59));
    expect(() => {
      for (let count = 0; count < 100; count++) push(piece);
    }).toThrow(limit);
    push(bytes("\n\ndata:x\n\n"));
    expect(events.onEvent).not.toHaveBeenCalled();
  });

  test("35: so is an event of many lines", () => {
    const push = createParser(sink(), "", 1_000);
    expect(() => push(bytes("data:0123456789\n".repeat(200)))).toThrow(limit);
  });

  test("35: an event just within the bound comes, one byte more does not", () => {
    const exact = `data:${"é".repeat(500)}`;
    for (const size of [1, 7, 2_000]) {
      expect(hear(pieces(bytes(`${exact}\n\n`), size), { maxEventBytes: 1_000 }).events).toHaveLength(1);
      expect(() => hear(pieces(bytes(`${exact}x`), size), { maxEventBytes: 1_000 })).toThrow(limit);
    }
  });

  test("35: the default bound holds 10 MB of one line off", () => {
    const push = createParser(sink());
    const piece = bytes("x".repeat(64));
    push(bytes("data:"));
    let read = 0;
    expect(() => {
      for (; read < 10_000_000; read += 64) push(piece);
    }).toThrow(limit);
    expect(read).toBeLessThan(1_100_000);
  });

  test("36: 10,000 small events in one chunk larger than the bound", () => {
    const all = bytes("data:0123456789\n\n".repeat(10_000));
    expect(hear([all], { maxEventBytes: 100 }).events).toHaveLength(10_000);
  });

  test("37: an endless comment that nobody wants is not kept", () => {
    const push = createParser(sink(), "", 1_000);
    const piece = bytes("x".repeat(1 << 20));
    push(bytes(":"));
    gc?.();
    const before = process.memoryUsage().heapUsed;
    for (let count = 0; count < 256; count++) push(piece);
    gc?.();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(8 << 20);
  });

  test("37: after it the stream goes on", () => {
    const all = bytes(`:${"x".repeat(5_000)}\rdata:a\n\n:${"y".repeat(5_000)}\r\ndata:b\n\n`);
    for (const size of [1, 100, 7_000]) {
      expect(hear(pieces(all, size), { comments: false, maxEventBytes: 1_000 }).events.map(([, data]) => data)).toEqual(["a", "b"]);
    }
  });

  test("37: of an endless comment that somebody wants the first 1,024 bytes are given", () => {
    const { comments } = hear(pieces(bytes(`:${"x".repeat(2_000)}\n:x${"é".repeat(2_000)}\n`), 64), { maxEventBytes: 1_000 });
    expect(comments).toEqual(["x".repeat(1_024), `x${"é".repeat(511)}`]);
  });

  test("38: a million empty lines are nothing", () => {
    const heard = hear([bytes("\n".repeat(1_000_000))]);
    expect(heard).toEqual({ events: [], comments: [], retries: [], lastEventId: "" });
  });

  test("35: a line in a million pieces costs as much as one in one", () => {
    const chunks = [...pieces(bytes(`data:${"x".repeat(4_000_000)}\n\n`), 64)];
    const began = performance.now();
    expect(hear(chunks, { maxEventBytes: Infinity }).events).toHaveLength(1);
    // A tenth of a second; half a minute if each piece copied what was kept before it.
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});
