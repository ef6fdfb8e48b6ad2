import { expect, test } from "vitest";
import { addLag, ageOf } from "../src/panels/metrics/age.ts";
import { rowsOf, sayLabels } from "../src/panels/metrics/families.ts";
import { addSample, goAway, NO_HISTORY, SPAN, type History } from "../src/panels/metrics/history.ts";
import { readSample, SERVICES_MAX, type Sample } from "../src/panels/metrics/sample.ts";
import { bandOf, linesOf, topOf } from "../src/panels/metrics/scale.ts";
import { sayAge, sayBytes, sayFigures, sayOf, sayPercent } from "../src/panels/metrics/words.ts";

const service = (id: string, cpuPercent: number | null, missing: object = {}) => ({
  id,
  source: "process",
  of: "machine",
  error: null,
  figures: { cpuPercent, memoryBytes: 1_000 },
  missing,
});
const sample = (sampledAt: number, ...services: object[]): Sample => readSample({ sampledAt, interval: 5, services }) as Sample;
const fold = (...samples: Sample[]): History => samples.reduce(addSample, NO_HISTORY);
const cpu = (history: History, id: string) =>
  history.tracks.find((track) => track.service.id === id)?.points.map((point) => point.cpu);

test("reads figures, and why one is not known", () => {
  const read = sample(7.5, service("api", null, { cpuPercent: "first_sample" }));
  expect(read.services[0]?.figures.get("cpuPercent")).toEqual({ value: null, reason: "first_sample" });
  expect(read.services[0]?.figures.get("memoryBytes")).toEqual({ value: 1_000 });
  expect(sayFigures({ figures: read.services[0]?.figures ?? new Map() })[0]).toEqual({
    name: "cpuPercent",
    label: "CPU",
    text: "–",
    reason: "a rate needs a second sample",
  });
});

test.each([null, "text", 7, [], {}, { sampledAt: "1", services: [] }, { sampledAt: 1 }, { sampledAt: 1, services: {} }])(
  "%j is no sample",
  (data) => {
    expect(readSample(data)).toBeNull();
    expect(addSample(NO_HISTORY, readSample(data)).unreadable).toBe(1);
  },
);

test("reads what it can of a service that is not as it should be, and none of it is a number that it is not", () => {
  const odd = {
    id: "a\u202eb\x00",
    source: 3,
    error: { code: 1 },
    figures: { cpuPercent: "12", memoryBytes: {}, __proto__: 1 },
    families: [null, { samples: [{}] }],
  };
  const [read] = sample(1, odd, null as never, { id: 5 }).services;
  expect(read).toMatchObject({ id: "a‹U+202E›b␀", source: "", error: { code: "ERROR", detail: "" } });
  expect([...(read?.figures.values() ?? [])].every(({ value }) => value === null)).toBe(true);
  expect(read?.families[1]?.samples[0]).toEqual({ name: "", labels: [], value: { value: null, reason: "not_available" } });
});

test("is bounded, and says how many more there were", () => {
  const many = Array.from({ length: 100 }, (_, n) => service(`s${n}`, 1));
  expect(sample(1, ...many)).toMatchObject({ more: 100 - SERVICES_MAX });
  const samples = Array.from({ length: 300 }, (_, n) => ({ name: "m", labels: { n: `${n}` }, value: n }));
  const [read] = sample(1, { id: "p", source: "prometheus", families: [{ name: "m", samples }] }).services;
  expect(read?.families[0]).toMatchObject({ more: 100 });
  expect(rowsOf(read?.families ?? [], undefined, "")).toMatchObject({ more: 100 });
});

test("what is not known is a hole, not 0", () => {
  const history = fold(
    sample(0, service("a", 10)),
    sample(5, service("a", null)),
    sample(10, service("a", 0)),
    sample(15, service("a", 20)),
  );
  expect(cpu(history, "a")).toEqual([10, null, 0, 20]);
  const points = history.tracks[0]?.points ?? [];
  expect(linesOf(points, (point) => point.cpu, { from: 0, to: 15, top: 100 })).toEqual([
    "M0.0 108.0 h0",
    "M400.0 120.0 L600.0 96.0",
  ]);
});

test("where the connection was away there is a hole, and a band over it", () => {
  const before = fold(sample(0, service("a", 10)), sample(5, service("a", 11)));
  const history = addSample(goAway(before), sample(12, service("a", 12)));
  expect(history.aways).toEqual([{ from: 5, to: 12 }]);
  expect(cpu(history, "a")).toEqual([10, 11, null, 12]);
  expect(addSample(history, sample(17, service("a", 13))).aways).toEqual([{ from: 5, to: 12 }]);
  expect(bandOf({ from: 5, to: 10 }, { from: 0, to: 10, top: 1 })).toEqual({ x: 300, width: 300 });
});

test("samples that did not come are a hole, too, whatever the connection says", () => {
  const history = fold(sample(0, service("a", 10)), sample(12, service("a", 11)), sample(30, service("a", 12)));
  expect(history.aways).toEqual([{ from: 12, to: 30 }]);
  expect(cpu(history, "a")).toEqual([10, 11, null, 12]);
});

test("the same sample twice is one moment", () => {
  const history = fold(sample(5, service("a", 10)), sample(5, service("a", 10)));
  expect(cpu(history, "a")).toEqual([10]);
});

test("a service that fails or is gone has a hole, the others go on, and one that is gone for long is forgotten", () => {
  const failed = { id: "b", source: "process", error: { code: "NO_SUCH_PROCESS", detail: "no process has the id 4711" } };
  let history = fold(
    sample(0, service("a", 1), service("b", 2)),
    sample(5, service("a", 1), failed),
    sample(10, service("a", 1)),
  );
  expect(cpu(history, "a")).toEqual([1, 1, 1]);
  expect(cpu(history, "b")).toEqual([2, null, null]);
  expect(history.tracks.map(({ service: { id }, isThere }) => [id, isThere])).toEqual([
    ["a", true],
    ["b", false],
  ]);
  for (let at = 15; at <= SPAN + 20; at += 5) history = addSample(history, sample(at, service("a", 1)));
  expect(history.tracks.map((track) => track.service.id)).toEqual(["a"]);
});

test("holds ten minutes, and not more moments than it may, whatever the interval", () => {
  let history = NO_HISTORY;
  for (let n = 0; n < 500; n++) history = addSample(history, sample(n * 5, service("a", n)));
  expect(history.tracks[0]?.points.length).toBe(SPAN / 5 + 1);
  history = NO_HISTORY;
  for (let n = 0; n < 3_000; n++) history = addSample(history, sample(n / 10, service("a", n)));
  expect(history.tracks[0]?.points.length).toBe(1_200);
  for (let n = 0; n < 500; n++) history = addSample(goAway(history), sample(300 + n, service(`s${n}`, 1)));
  expect(history.tracks.length).toBeLessThanOrEqual(SERVICES_MAX);
});

test("a clock that goes back begins the plots anew, and that is told", () => {
  const history = fold(sample(100, service("a", 1)), sample(50, service("a", 2)), sample(55, service("a", 3)));
  expect(cpu(history, "a")).toEqual([2, 3]);
  expect(history.restarts).toBe(1);
});

test("the age of a sample is right though the clocks differ, and after one was set", () => {
  let lags = addLag([], 1_000.2, 400);
  lags = addLag(lags, 1_005.1, 405);
  expect(ageOf(lags, 1_005.1, 405)).toBe(0);
  expect(ageOf(lags, 1_008.1, 405)).toBeCloseTo(3);
  // One that came late is as old as it is.
  lags = addLag(lags, 1_017.1, 410);
  expect(ageOf(lags, 1_017.1, 410)).toBeCloseTo(7);
  for (let n = 0; n < 12; n++) lags = addLag(lags, 5_000 + n * 5, 415 + n * 5);
  expect(ageOf(lags, 5_055, 470)).toBe(0);
});

test("families: those that were chosen, filtered by name and label", () => {
  const family = (name: string, code: string) => ({
    name,
    type: "counter",
    samples: [
      { name, labels: { code }, value: 17, perSecond: 0.2 },
      { name, labels: { code: "x" }, value: null, missing: "not_a_number" },
    ],
  });
  const [read] = sample(1, {
    id: "p",
    source: "prometheus",
    families: [family("requests", "200"), family("errors", "500")],
  }).services;
  const names = (chosen: string[] | undefined, words: string) =>
    rowsOf(read?.families ?? [], chosen, words).rows.map((row) => row.sample.name + sayLabels(row.sample));
  expect(names(undefined, "")).toHaveLength(4);
  expect(names(["errors"], "")).toEqual(['errors{code="500"}', 'errors{code="x"}']);
  expect(names(undefined, "200")).toEqual(['requests{code="200"}']);
  expect(rowsOf(read?.families ?? [], undefined, "").rows[1]?.sample.value).toEqual({ value: null, reason: "not_a_number" });
});

test("two families of one name are two", () => {
  const family = { name: "m", type: "gauge", samples: [{ name: "m", labels: {}, value: 1 }] };
  const [read] = sample(1, { id: "p", source: "prometheus", families: [family, family] }).services;
  expect(new Set(rowsOf(read?.families ?? [], undefined, "").rows.map((row) => row.key)).size).toBe(2);
});

test("scales are round, and steady", () => {
  expect(topOf([null, 12.5], 100)).toBe(100);
  expect(topOf([101], 100)).toBe(200);
  expect(topOf([390], 100)).toBe(500);
  expect(topOf([3 * 1024 ** 2], 1024, 1024)).toBe(4 * 1024 ** 2);
  expect(topOf([1023 * 1024], 1024, 1024)).toBe(1024 ** 2);
});

test("says figures as one reads them, and whose they are", () => {
  expect([0, 1_023, 1_536, 512 * 1024 ** 2, 3 * 1024 ** 4].map(sayBytes)).toEqual([
    "0 B",
    "1,023 B",
    "1.5 KiB",
    "512 MiB",
    "3 TiB",
  ]);
  expect(sayPercent(12.54)).toBe("12.5 %");
  expect([0.4, 59, 119, 600].map(sayAge)).toEqual(["0 s", "59 s", "119 s", "10 min"]);
  expect(sayOf({ source: "host", of: "cgroup" })).toBe("host · figures and limits of its cgroup (container)");
  expect(sayOf({ source: "prometheus" })).toBe("prometheus");
});
