import { describe, expect, test } from "vitest";
import { addSample, columns, NO_HISTORY, POINTS_MAX, rateOf, type History } from "../src/model/history.ts";
import { readStats, wrongInLedger } from "../src/model/stats.ts";
import { sampleOf } from "./kit/figures.ts";

const added = (...samples: object[]): History => samples.reduce<History>((history, sample) => addSample(history, readStats(sample)), NO_HISTORY);

describe("rates from counters", () => {
  test("are what grew in a second, by the hub's clock", () => {
    const { points } = added(sampleOf({ at: 10_000, published: 100 }), sampleOf({ at: 12_000, published: 150, delivered: 8 }));
    expect(points.map(({ published }) => published)).toEqual([null, 25]);
    expect(points.map(({ delivered }) => delivered)).toEqual([null, 4]);
  });

  test("of a hub that was started again are not known at first, and never negative", () => {
    const before = { at: 10_000, published: 1_000, pid: 1, uptime: 50 };
    for (const after of [{ pid: 2, uptime: 60 }, { pid: 1, uptime: 1 }]) {
      const history = added(sampleOf(before), sampleOf({ at: 11_000, published: 2_000, ...after }));
      expect(history.points.at(-1)?.published).toBeNull();
      expect(history.restarts).toBe(1);
    }
  });

  test("of a counter that went back are not known", () => {
    const [one, two] = [readStats(sampleOf({ at: 1_000, published: 9 })), readStats(sampleOf({ at: 2_000, published: 3 }))];
    expect(two && rateOf(one, two, ({ published }) => published)).toBeNull();
  });
});

describe("the history", () => {
  test("has a hole where nothing was sampled, and the rate behind it is not known", () => {
    const { points } = added(
      sampleOf({ at: 1_000, published: 0 }),
      sampleOf({ at: 2_000, published: 10 }),
      sampleOf({ at: 9_000, published: 80 }),
      sampleOf({ at: 10_000, published: 90 }),
    );
    expect(points.map(({ at, memory }) => [at, memory === null])).toEqual([
      [1, false],
      [2, false],
      [3, true],
      [9, false],
      [10, false],
    ]);
    expect(points.map(({ published }) => published)).toEqual([null, 10, null, null, 10]);
  });

  test("drops what comes again", () => {
    const samples = [1_000, 2_000, 3_000].map((at) => sampleOf({ at }));
    const once = added(...samples);
    expect(added(...samples, ...samples)).toEqual(once);
    expect(added(...samples, ...samples.slice(0, 2))).toEqual(once);
  });

  test("keeps ten minutes, and never more than its limit", () => {
    let history = NO_HISTORY;
    for (let n = 0; n < 3_000; n++) history = addSample(history, readStats(sampleOf({ at: n * 1_000, uptime: n })));
    expect(history.points).toHaveLength(600);
    for (let n = 0; n < 3_000; n++) history = addSample(history, readStats(sampleOf({ at: 3_000_000 + n * 100, uptime: 3_000 + n })));
    expect(history.points.length).toBeLessThanOrEqual(POINTS_MAX);
  });

  test("begins anew where the clock of the hub went back", () => {
    for (const after of [{ pid: 2 }, { pid: 1, uptime: 2 }]) {
      const history = added(sampleOf({ at: 900_000, pid: 1 }), sampleOf({ at: 10_000, ...after }));
      expect(history.points.map(({ at }) => at)).toEqual([10]);
      expect(history.restarts).toBe(1);
    }
  });

  test("has times that only grow, which is what is drawn", () => {
    const { points } = added(sampleOf({ at: 1_000 }), sampleOf({ at: 1_400, pid: 9 }), sampleOf({ at: 60_000, pid: 9 }));
    const [times, memory] = columns(points, ["memory"]);
    expect(times).toEqual([...new Set(times)].sort((a, b) => Number(a) - Number(b)));
    expect(memory).toContain(null);
  });
});

test("a sample that is none changes nothing", () => {
  for (const wrong of [null, 7, "stats", [], {}, { at: "now" }, { at: 1, budget: null }]) {
    expect(addSample(NO_HISTORY, readStats(wrong))).toBe(NO_HISTORY);
  }
});

test("a ledger that does not add up is told by the kinds that do not", () => {
  expect(wrongInLedger({ a: { opened: 3, closed: 1, live: 2 } })).toEqual([]);
  expect(
    wrongInLedger({
      fine: { opened: 3, closed: 3, live: 0 },
      lost: { opened: 3, closed: 1, live: 1 },
      twice: { opened: 1, closed: 2, live: 0 },
    }),
  ).toEqual(["lost", "twice"]);
});
