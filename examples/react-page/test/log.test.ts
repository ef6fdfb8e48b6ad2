import type { SSEEvent } from "watertight";
import { expect, test } from "vitest";
import { bottomOf, reveal, ROW_HEIGHT, rowsIn, wantsToFollow } from "../src/panels/log/geometry.ts";
import { commandOf } from "../src/panels/log/keys.ts";
import { readEnd, readLine } from "../src/panels/log/record.ts";
import { Search } from "../src/panels/log/search.ts";
import { afterComment, SOURCE_UNKNOWN } from "../src/panels/source.ts";
import { LOG_LIMITS, LogStore, type LogLimits } from "../src/panels/log/store.ts";
import { sayEnd, sayRow } from "../src/panels/log/words.ts";

const event = (type: string, data: unknown): SSEEvent => ({
  type,
  data,
  text: typeof data === "string" ? data : JSON.stringify(data),
  id: "",
});

function start(limits: Partial<LogLimits> = {}) {
  const store = new LogStore({ ...LOG_LIMITS, ...limits });
  const feed = {
    store,
    line: (line: number, text = `line ${line}`, more: object = {}) =>
      store.take(event("log", { line, stream: "stdout", at: line, text, ...more })),
    lines: (from: number, to: number, more: object = {}) => {
      for (let line = from; line <= to; line++) feed.line(line, undefined, more);
    },
    text: (text: string) => store.take(event("log", text)),
    gap: (reason: string, missed: number | null = null) => store.take(event("gap", { from: null, to: null, missed, reason })),
    end: (exitCode: number | null) => store.take(event("end", { exitCode, endedAt: 1_764_185_513.5 })),
    rows: (): string[] => {
      const all = Array.from({ length: store.next - store.first }, (_, index) => store.get(store.first + index));
      return all.map((row) =>
        row?.kind === "line" ? row.line.text : row?.kind === "gap" ? `gap${row.isWhole ? " (whole)" : ""}` : `${row?.kind}`,
      );
    },
  };
  return feed;
}

// What a line is.

test.each<[data: unknown, text: string, shown: string]>([
  [{ text: "hello", line: 1 }, "", "hello"],
  [{ message: "hello" }, "", "hello"],
  [{ msg: "hello" }, "", "hello"],
  [{ line: 3, msg: "hello" }, `{"line":3,"msg":"hello"}`, `{"line":3,"msg":"hello"}`],
  [{ text: 7 }, `{"text":7}`, `{"text":7}`],
  ["plain", "plain", "plain"],
  [123, "0123.0", "0123.0"],
  [null, "null", "null"],
  [["a"], `["a"]`, `["a"]`],
  [true, "true", "true"],
  ["", "", ""],
])("%j is shown as text", (data, text, shown) => {
  expect(readLine({ data, text }).text).toBe(shown);
});

test("members that are not what they should be are left out", () => {
  const data = { text: "x", line: -1, stream: "<b>", at: "now", partial: "yes", cut: "9" };
  expect(readLine({ data, text: "" })).toEqual({ text: "x" });
  expect(readLine({ data: { text: "x", at: 1e300, line: 2 ** 60 }, text: "" })).toEqual({ text: "x" });
  expect(readEnd({ data: { exitCode: "0", endedAt: {} } })).toEqual({ exitCode: null, endedAt: null });
});

// Lines by their numbers.

test("a line that has not ended is replaced by what comes with its number, where it stands", () => {
  const { line, rows, store } = start();
  line(1, "10 %", { partial: true });
  line(2, "on stderr", { stream: "stderr" });
  line(1, "55 %", { partial: true });
  line(1, "done");
  expect(rows()).toEqual(["done", "on stderr"]);
  expect(store.received).toBe(2);
  expect(store.get(store.first)).toMatchObject({ line: { line: 1, text: "done" } });
});

test("lines that are sent again after a new epoch are shown once, and the gap says that none is missing", () => {
  const { lines, gap, rows, store } = start();
  lines(1, 5);
  gap("epoch");
  lines(1, 8);
  expect(rows()).toEqual(["line 1", "line 2", "line 3", "line 4", "line 5", "gap (whole)", "line 6", "line 7", "line 8"]);
  expect(store).toMatchObject({ received: 8, repeated: 5 });
});

test("a hole in the numbers after a new epoch leaves the gap what it is", () => {
  const { lines, gap, rows } = start();
  lines(1, 5);
  gap("epoch");
  lines(1, 5);
  lines(9, 9);
  expect(rows()).toEqual(["line 1", "line 2", "line 3", "line 4", "line 5", "gap", "line 9"]);
});

test("a progress line that is sent again after a new epoch goes on where it stands", () => {
  const { line, gap, rows } = start();
  line(1, "10 %", { partial: true });
  gap("epoch");
  line(1, "90 %", { partial: true });
  line(1, "done");
  expect(rows()).toEqual(["done", "gap"]);
});

test("another run of the deployment has the same numbers, and nothing of it is dropped", () => {
  const { lines, gap, rows, store } = start();
  lines(1, 3);
  gap("epoch");
  for (const n of [1, 2]) store.take(event("log", { line: n, stream: "stdout", at: 100 + n, text: `new ${n}` }));
  gap("epoch");
  for (const n of [1, 2, 3]) store.take(event("log", { line: n, stream: "stdout", at: 100 + n, text: `new ${n}` }));
  expect(rows()).toEqual(["line 1", "line 2", "line 3", "gap", "another", "new 1", "new 2", "gap (whole)", "new 3"]);
});

test("lines that were let go already are not shown again, those of another run are", () => {
  const { lines, gap, rows, store } = start({ linesMax: 4 });
  lines(1, 10);
  gap("epoch");
  lines(1, 11);
  expect(rows()).toEqual(["line 9", "line 10", "gap (whole)", "line 11"]);
  expect(store.repeated).toBe(10);
  gap("epoch");
  store.take(event("log", { line: 1, at: 1_000, text: "new 1" }));
  expect(rows().slice(-3)).toEqual(["gap", "another", "new 1"]);
});

test("lines without numbers are all shown, also twice the same", () => {
  const { text, rows } = start();
  text("a");
  text("a");
  expect(rows()).toEqual(["a", "a"]);
});

// Bounds.

test("holds as many rows as it may, lets the oldest go, and says how many", () => {
  const { lines, store, gap } = start({ linesMax: 100 });
  gap("lagged");
  lines(1, 1_000);
  expect(store.next - store.first).toBe(100);
  expect(store.dropped).toBe(901);
  expect(store.gaps).toEqual([]);
  expect(store.get(store.first)).toMatchObject({ line: { line: 901 } });
  expect(store.get(store.first - 1)).toBeUndefined();
});

test("holds as much text as it may, also where a line grows in its place", () => {
  const { line, store } = start({ charsMax: 10_000 });
  for (let n = 1; n <= 100; n++) line(n, "x".repeat(900));
  expect(store.next - store.first).toBe(10);
  line(101, "", { partial: true });
  line(101, "y".repeat(5_000), { partial: true });
  expect(store.next - store.first).toBeLessThan(7);
  expect(store.get(store.next - 1)).toMatchObject({ line: { text: "y".repeat(5_000) } });
});

test("what comes during a pause waits, and is there afterwards, in order", () => {
  const { line, lines, rows, store, end } = start();
  line(1, "10 %", { partial: true });
  store.pause();
  line(1, "done");
  lines(2, 3);
  end(0);
  expect(rows()).toEqual(["10 %"]);
  expect(store.waiting).toBe(4);
  expect(store.end).toEqual({ exitCode: 0, endedAt: 1_764_185_513.5 });
  store.resume();
  expect(rows()).toEqual(["done", "line 2", "line 3", "end"]);
  expect(store.waiting).toBeNull();
});

test("a pause is bounded: what it could not keep is counted, and said where it is missing", () => {
  const { lines, rows, store, gap } = start({ waitingMax: 3 });
  lines(1, 2);
  store.pause();
  gap("lagged");
  lines(3, 9);
  expect(store.waiting).toBe(8);
  store.resume();
  expect(rows()).toEqual(["line 1", "line 2", "skipped", "line 7", "line 8", "line 9"]);
  expect(store.get(2)).toEqual({ kind: "skipped", lines: 4, gaps: 1 });
});

test("a progress line waits once, however often it changes, and takes no other line's room", () => {
  const { line, rows, store } = start({ waitingMax: 3 });
  store.pause();
  line(1);
  for (let n = 0; n < 100; n++) line(2, `${n} %`, { partial: true });
  line(3);
  line(2, "done");
  store.resume();
  expect(rows()).toEqual(["line 1", "done", "line 3"]);
});

test("a progress line whose feed gives no times goes on after a new epoch, too", () => {
  const { gap, rows, store } = start();
  gap("epoch");
  for (const text of ["10 %", "20 %", "done"]) {
    store.take(event("log", { line: 1, text, ...(text !== "done" && { partial: true }) }));
  }
  expect(rows()).toEqual(["gap", "done"]);
});

test("a pause is bounded by its text, too", () => {
  const { line, store } = start({ charsMax: 5_000 });
  store.pause();
  for (let n = 1; n <= 10; n++) line(n, "x".repeat(1_500));
  store.resume();
  expect(store.get(store.first)).toEqual({ kind: "skipped", lines: 7, gaps: 0 });
  expect(store.get(store.next - 1)).toMatchObject({ line: { line: 10 } });
  expect(store.next - store.first).toBe(4);
});

test("a deployment that goes on has not ended", () => {
  const { end, line, store } = start();
  end(1);
  expect(store.end?.exitCode).toBe(1);
  line(1);
  expect(store.end).toBeNull();
});

test("closing events of the hub are no lines", () => {
  const { store, rows } = start();
  store.take(event("error", { code: "SESSION_ENDED" }));
  expect(rows()).toEqual([]);
});

// Search.

test("finds lines by what is seen of them, goes round at the ends, and keeps up", () => {
  const { text, store } = start();
  const search = new Search(store);
  ["\x1b[31mEr\x1b[0mror one", "fine", "error two"].forEach(text);
  search.set("ERROR");
  search.advance();
  expect([search.count, search.after(-1), search.after(0), search.after(2), search.before(0), search.before(2)]).toEqual([
    2, 0, 2, 0, 2, 0,
  ]);
  expect([search.placeOf(0), search.placeOf(1), search.placeOf(2)]).toEqual([1, 0, 2]);
  text("ERROR three");
  expect(search.isBehind).toBe(true);
  search.advance();
  expect(search.count).toBe(3);
  search.set("");
  expect([search.count, search.after(0), search.isBehind]).toEqual([0, undefined, false]);
});

test("searching leaves nothing behind in the pattern that marks what was found", () => {
  const { text, store } = start();
  const search = new Search(store);
  text("an error");
  search.set("error");
  search.advance();
  expect(search.pattern?.lastIndex).toBe(0);
});

test("what was searched for is words, not an expression", () => {
  const { text, store } = start();
  const search = new Search(store);
  ["a.b", "axb", "(a|b)*", "[", "a/b\\c"].forEach(text);
  const found = ["a.b", "(a|b)*", "[", "/b\\"].map((words) => {
    search.set(words);
    search.advance();
    return search.count;
  });
  expect(found).toEqual([1, 1, 1, 1]);
});

test("a line that is replaced or let go is found as it is now", () => {
  const { line, lines, store } = start({ linesMax: 5 });
  const search = new Search(store);
  search.set("error");
  line(1, "error", { partial: true });
  line(2, "fine", { partial: true });
  search.advance();
  expect(search.after(-1)).toBe(0);
  line(1, "fine");
  line(2, "error");
  search.advance();
  expect([search.count, search.after(-1)]).toEqual([1, 1]);
  lines(3, 20);
  search.advance();
  expect([search.count, search.after(-1)]).toEqual([0, undefined]);
});

test("a long log is searched in pieces, each of them bounded", () => {
  const { lines, store } = start();
  lines(1, 50_000);
  const search = new Search(store);
  search.set("line");
  let goes = 0;
  for (; search.isBehind; goes++) search.advance();
  expect([goes, search.count]).toEqual([3, 50_000]);
});

// Where rows are.

test("draws what is seen and a little more, whatever there is", () => {
  const box = { height: 400, first: 1_000, next: 101_000 };
  for (const top of [0, 50_000, 1_000_000, bottomOf(box)]) {
    const { from, until } = rowsIn({ ...box, top });
    expect(from).toBeLessThanOrEqual(1_000 + Math.floor(top / ROW_HEIGHT));
    expect(until).toBeGreaterThanOrEqual(Math.min(101_000, 1_000 + (top + 400) / ROW_HEIGHT));
    expect(until - from).toBeLessThan(60);
  }
  expect(rowsIn({ top: 0, height: 400, first: 5, next: 5 })).toEqual({ from: 5, until: 5 });
});

test("scrolls to a row as little as it takes", () => {
  const box = { top: 1_000, height: 400, first: 0, next: 1_000 };
  expect(reveal(60, box)).toBe(1_000);
  expect(reveal(10, box)).toBe(160);
  expect(reveal(100, box)).toBe(100 * ROW_HEIGHT + ROW_HEIGHT + 40 - 400);
  expect(reveal(0, box)).toBe(0);
  expect(reveal(999, box)).toBe(bottomOf(box));
});

test("who scrolls up reads, who comes to the end follows, who does neither is left alone", () => {
  expect(wantsToFollow(true, 500, 400, 500)).toBe(false);
  expect(wantsToFollow(false, 400, 500, 500)).toBe(true);
  expect(wantsToFollow(false, 400, 450, 500)).toBe(false);
  // Lines came under one who follows; or the box has shrunk.
  expect(wantsToFollow(true, 500, 500, 900)).toBe(true);
  expect(wantsToFollow(true, 500, 300, 300)).toBe(true);
});

// Words.

test("says how it ended", () => {
  expect(sayEnd({ exitCode: 101, endedAt: null })).toBe("Ended with exit code 101");
  expect(sayEnd({ exitCode: null, endedAt: null })).toBe("Ended without an exit code");
  expect(sayEnd({ exitCode: 0, endedAt: 1_764_185_513 })).toMatch(/^Ended with exit code 0, .*2025/);
});

test("says what is missing", () => {
  expect(sayRow({ kind: "skipped", lines: 1, gaps: 2 })).toBe("1 line and 2 gaps came during the pause and could not be kept");
  expect(sayRow({ kind: "gap", gap: { from: null, to: null, missed: 3, reason: "lagged" }, isWhole: false })).toMatch(
    /^3 lines are missing/,
  );
});

test("a comment tells that the source is away, heartbeats do not, and another one that it is back", () => {
  const waiting = afterComment(SOURCE_UNKNOWN, " waiting for source");
  expect(waiting).toEqual({ isWaiting: true, words: "waiting for source" });
  expect(afterComment(waiting, "")).toBe(waiting);
  expect(afterComment(waiting, " waiting for source: redis refused").words).toBe("waiting for source: redis refused");
  expect(afterComment(waiting, " watertight").isWaiting).toBe(false);
  expect(afterComment(SOURCE_UNKNOWN, ` waiting for source ${"x".repeat(999)}`).words.length).toBe(200);
});

test("keys with Ctrl, Alt or Meta are the browser's", () => {
  const key = (key: string, more = {}) => commandOf({ key, ctrlKey: false, metaKey: false, altKey: false, ...more });
  expect([key("j"), key("G"), key("/")]).toEqual(["down", "last", "search"]);
  expect([key("n", { ctrlKey: true }), key("f", { metaKey: true }), key("constructor"), key("x")]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
