import { expect, test } from "vitest";
import { createJournal, ROWS } from "../src/journal/journal.ts";
import { createRate, SECONDS } from "../src/journal/rate.ts";
import { sayGap } from "../src/journal/words.ts";
import type { NetworkUpdate } from "../src/network.ts";

const update = (n: number, run = "run"): NetworkUpdate => ({
  run,
  n,
  nodes: [],
  edges: [],
  message: { from: "a", to: "b", kind: "task" },
});
const gap = { from: "1", to: "9", missed: 17, reason: "lagged" };

/** A journal that a test tells what came. */
function start(...numbers: number[]) {
  const { empty, reduce } = createJournal();
  let journal = empty;
  const take = (type: string, data: unknown, id: string): void => {
    journal = reduce(journal, data, { type, data, text: "", id });
  };
  const all = {
    update: (what: NetworkUpdate, id: string) => take("agent_network_update", what, id),
    gap: (what: object, id: string) => take("gap", what, id),
    view: () => journal,
  };
  for (const n of numbers) all.update(update(n), `id-${n}`);
  return all;
}

test("counts each update once, from wherever the first one was", () => {
  const { tally, latest } = start(7, 8, 9).view();
  expect(tally).toEqual({ received: 3, duplicates: 0, repeated: 0, lost: 0, told: 0, gaps: 0 });
  expect(latest?.n).toBe(9);
});

test("a hole that nobody told of is a loss", () => {
  const { tally, rows } = start(1, 2, 5).view();
  expect(tally.lost).toBe(2);
  expect(rows.map((row) => row.kind)).toEqual(["update", "hole", "update", "update"]);
});

test("a hole where a gap was is none, and the next one is one again", () => {
  const journal = start(1);
  journal.gap(gap, "id-18");
  journal.update(update(19), "id-19");
  expect(journal.view().tally).toMatchObject({ lost: 0, told: 17, gaps: 1 });
  expect(journal.view().rows.map((row) => row.kind)).toEqual(["update", "hole", "gap", "update"]);
  journal.update(update(21), "id-21");
  expect(journal.view().tally).toMatchObject({ lost: 1, told: 17 });
});

test("tells an id that came twice from an update that was published twice", () => {
  const journal = start(1, 2);
  journal.update(update(2), "id-2");
  expect(journal.view().tally).toMatchObject({ received: 2, duplicates: 1, repeated: 0 });
  journal.update(update(2), "of another hub");
  expect(journal.view().tally).toMatchObject({ received: 2, duplicates: 1, repeated: 1, lost: 0 });
});

test("keeps publishers apart", () => {
  const journal = start(1, 2);
  journal.update(update(70, "another"), "id-70");
  journal.update(update(3), "id-3");
  journal.update(update(71, "another"), "id-71");
  expect(journal.view().tally).toMatchObject({ received: 5, lost: 0, repeated: 0 });
});

test("holds as many rows as it says, the newest first", () => {
  const { rows } = start(...Array.from({ length: 5 * ROWS }, (_, index) => index)).view();
  expect(rows.length).toBe(ROWS);
  expect(rows[0]).toMatchObject({ n: 5 * ROWS - 1 });
});

test("rates the last full minute, second by second", () => {
  const rate = createRate();
  for (const now of [1_000, 1_999, 2_000]) rate.count(now);
  rate.mark(2_500);
  expect(rate.read(3_100).slice(-3)).toEqual([
    { events: 0, gap: false },
    { events: 2, gap: false },
    { events: 1, gap: true },
  ]);
  expect(rate.read(3_100).length).toBe(SECONDS);
  expect(rate.read(200_000).every(({ events }) => events === 0)).toBe(true);
});

test("says a gap", () => {
  expect(sayGap(gap)).toBe("17 events are missing (lagged): this page read too slowly");
  expect(sayGap({ ...gap, missed: 1, reason: "overflow" })).toBe("1 event is missing (overflow)");
  expect(sayGap({ ...gap, missed: null, reason: "epoch" })).toMatch(/^An unknown number of events is missing \(epoch\): /);
});
