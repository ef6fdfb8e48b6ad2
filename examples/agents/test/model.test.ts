import { describe, expect, test } from "vitest";
import { NO_LIST, withListGap, withListSnapshot, withRows, isListStale, ROWS_MAX } from "../src/model/list.ts";
import {
  AHEAD_MAX,
  isRunOver,
  isRunStale,
  NO_RUN,
  toStep,
  withRunGap,
  withRunSnapshot,
  withStep,
  type Run,
  type RunView,
  type Step,
  type Summary,
} from "../src/model/run.ts";

const FIRST: Run = {
  ...{ id: "1", task: "t", status: "running", done: 0, total: 4, startedAt: 1, endedAt: null, n: 0 },
  ...{ label: "", note: "", text: "", tools: [] },
};
const text = (n: number): Step => ({ kind: "text", n, text: `${n} ` });
const end = (n: number): Step => ({ kind: "end", n, status: "done", note: "", endedAt: 2 });
/** What the service has after so many steps. */
const snapshotAt = (n: number): Run => ({ ...FIRST, n, text: Array.from({ length: n }, (_, index) => `${index + 1} `).join("") });

describe("a run", () => {
  test("counts a step once, whether it is in the snapshot, live, or told again", () => {
    let view = withRunSnapshot(NO_RUN, snapshotAt(3), 0);
    for (const n of [2, 3, 4, 4, 5, 3]) view = withStep(view, text(n));
    expect(view.run?.text).toBe("1 2 3 4 5 ");
    expect([view.applied, view.repeated]).toEqual([2, 4]);
    expect(isRunStale(view)).toBe(false);
  });

  test("holds steps that came before the first snapshot", () => {
    let view: RunView = NO_RUN;
    for (const n of [4, 5, 6]) view = withStep(view, text(n));
    view = withRunSnapshot(view, snapshotAt(4), 0);
    expect(view.run?.text).toBe("1 2 3 4 5 6 ");
    expect(view.ahead.size).toBe(0);
  });

  test("shows nothing behind a hole, and wants a snapshot, until one fills it", () => {
    let view = withRunSnapshot(NO_RUN, snapshotAt(2), 0);
    view = withStep(view, text(5));
    expect([view.run?.n, isRunStale(view)]).toEqual([2, true]);
    // One that was on its way already does not help yet.
    view = withRunSnapshot(view, snapshotAt(3), 0);
    expect([view.run?.n, isRunStale(view)]).toEqual([3, true]);
    view = withRunSnapshot(view, snapshotAt(4), 0);
    expect([view.run?.text, isRunStale(view)]).toEqual(["1 2 3 4 5 ", false]);
  });

  test("wants a snapshot after a gap, one that was asked for later than the gap was told", () => {
    let view = withRunGap(withRunSnapshot(NO_RUN, snapshotAt(2), 0));
    expect(isRunStale(view)).toBe(true);
    view = withRunSnapshot(view, snapshotAt(9), 0);
    expect(isRunStale(view)).toBe(true);
    view = withRunSnapshot(view, snapshotAt(9), 1);
    expect(isRunStale(view)).toBe(false);
  });

  test("takes nothing back for a snapshot that was overtaken on its way", () => {
    const view = withStep(withRunSnapshot(NO_RUN, snapshotAt(3), 0), end(4));
    expect(withRunSnapshot(view, snapshotAt(2), 0).run).toBe(view.run);
    expect(isRunOver(view)).toBe(true);
  });

  test("keeps a bounded number of steps behind a hole, and does not forget that they are missing", () => {
    let view = withRunSnapshot(NO_RUN, snapshotAt(0), 0);
    for (let n = 2; n < 2 * AHEAD_MAX; n++) {
      view = withStep(view, text(n));
      expect(view.ahead.size).toBeLessThanOrEqual(AHEAD_MAX);
    }
    view = withRunSnapshot(view, snapshotAt(AHEAD_MAX), 0);
    expect(isRunStale(view)).toBe(true);
    view = withRunSnapshot(view, snapshotAt(2 * AHEAD_MAX - 1), 0);
    expect([view.run?.n, isRunStale(view)]).toEqual([2 * AHEAD_MAX - 1, false]);
  });

  test("knows tools, progress and the end; and passes over events that it does not know", () => {
    const steps: Step[] = [
      { kind: "progress", n: 1, done: 1, total: 2, label: "Asking" },
      { kind: "tool", n: 2, call: 1, name: "search", input: "x" },
      { kind: "tool", n: 3, call: 2, name: "open", input: "y" },
      { kind: "tool-result", n: 4, call: 1, output: "3 matches", ok: true },
      end(5),
    ];
    const view = steps.reduce(withStep, withRunSnapshot(NO_RUN, FIRST, 0));
    expect(view.run).toMatchObject({ done: 1, total: 2, label: "Asking", status: "done", endedAt: 2 });
    expect(view.run?.tools.map(({ output }) => output)).toEqual(["3 matches", null]);
    for (const [type, data] of [["thought", { n: 6 }], ["step", { n: 6, kind: "thought" }], ["step", "text"], ["step", { kind: "text" }]] as const) {
      expect(toStep(type, data)).toBeUndefined();
    }
    expect(toStep("step", text(6))).toEqual(text(6));
  });

  test("is right in the end whatever is lost, doubled or late, as long as snapshots come", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = randomOf(seed);
      const total = 40;
      let view: RunView = NO_RUN;
      let published = 0;
      const late: Step[] = [];
      while (published < total) {
        const step = ++published === total ? end(total) : text(published);
        const dice = random();
        if (dice < 0.2) late.push(step);
        else if (dice < 0.9) view = withStep(view, step);
        if (random() < 0.15) view = withStep(view, text(1 + Math.floor(random() * Math.min(published, total - 1))));
        if (random() < 0.1 && late.length) view = withStep(view, late.splice(Math.floor(random() * late.length), 1)[0] ?? step);
        if (random() < 0.05) view = withRunGap(view);
        // A snapshot as the service had it some steps ago, but never one that it did not have yet.
        const n = Math.min(total - 1, Math.max(0, published - Math.floor(random() * 4)));
        if (random() < 0.1) view = withRunSnapshot(view, snapshotAt(n), view.gaps);
        if (view.run) expect(view.run.text).toBe(snapshotAt(Math.min(view.run.n, total - 1)).text);
      }
      view = withRunSnapshot(view, { ...snapshotAt(total - 1), n: total, status: "done" }, view.gaps);
      expect([seed, view.run?.n, view.run?.text, isRunStale(view)]).toEqual([seed, total, snapshotAt(total - 1).text, false]);
    }
  });
});

/** A small generator of numbers from 0 to 1 (mulberry32), so that a failure can be repeated. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe("the list", () => {
  const row = (id: string, n: number, startedAt = 1): Summary => ({ ...FIRST, id, n, startedAt });

  test("keeps the newer of two rows of one run, whichever comes first, and the newest run on top", () => {
    let view = withListSnapshot(NO_LIST, [row("a", 5)], 0);
    view = withRows(view, [row("a", 3), row("b", 1, 2)]);
    view = withRows(view, [row("a", 6)]);
    expect(view.rows?.map(({ id, n }) => [id, n])).toEqual([
      ["b", 1],
      ["a", 6],
    ]);
  });

  test("wants a snapshot at first and after a gap, and is bounded", () => {
    expect(isListStale(NO_LIST)).toBe(true);
    let view = withListGap(withListSnapshot(NO_LIST, [], 0));
    expect(isListStale(view)).toBe(true);
    view = withListSnapshot(view, Array.from({ length: ROWS_MAX + 9 }, (_, n) => row(`${n}`, 1, n)), 1);
    expect([isListStale(view), view.rows?.length, view.rows?.[0]?.startedAt]).toEqual([false, ROWS_MAX, ROWS_MAX + 8]);
  });
});
