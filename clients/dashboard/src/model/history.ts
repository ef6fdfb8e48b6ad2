import type { Stats } from "./stats.ts";

/** How far back the plots go, milliseconds. */
export const SPAN = 600_000;
/** Moments that are kept at most: one a second, and some for holes. */
export const POINTS_MAX = 1_200;
/** The hub samples once a second. After so long without a sample there is a hole in the plots, milliseconds. */
export const LATE_AFTER = 2_500;

/** One moment of the plots. `null` is not known: there the line is broken. */
export interface Point {
  /** Seconds since 1970. */
  readonly at: number;
  readonly memory: number | null;
  readonly warning: number | null;
  readonly critical: number | null;
  readonly subscribers: number | null;
  readonly sessions: number | null;
  readonly published: number | null;
  readonly delivered: number | null;
  readonly p50: number | null;
  readonly p99: number | null;
  readonly gaps: number | null;
  readonly refused: number | null;
}

export interface History {
  readonly last: Stats | null;
  readonly points: readonly Point[];
  /** How often the hub was another one than before. */
  readonly restarts: number;
}

export const NO_HISTORY: History = { last: null, points: [], restarts: 0 };

/** Adds a sample. One that is older than the last is dropped: a stream that is read again from its beginning says nothing new. */
export function addSample(history: History, sample: Stats | null): History {
  if (!sample) return history;
  const { last } = history;
  if (last && isSeen(last, sample)) return history;
  const isSame = last !== null && isSameHub(last, sample);
  // A clock that was set back: what is to the right of now would never leave.
  const kept = last && sample.at < last.at ? [] : history.points.filter((point) => point.at * 1_000 > sample.at - SPAN);
  const hasHole = last !== null && (!isSame || sample.at - last.at > LATE_AFTER) && kept.length > 0;
  const hole = hasHole && last ? [holeAt(Math.min(last.at + 1_000, (last.at + sample.at) / 2))] : [];
  const points = [...kept, ...hole, pointOf(sample, isSame && !hasHole ? last : null)].slice(-POINTS_MAX);
  return { last: sample, points, restarts: history.restarts + (last && !isSame ? 1 : 0) };
}

/** Whether counters go on from one to the other. */
export function isSameHub(one: Stats, next: Stats): boolean {
  return one.pid === next.pid && next.uptimeSeconds >= one.uptimeSeconds;
}

/** How far apart the starts of one and the same hub may seem, milliseconds: its two clocks are read one after the other. */
const START_FUZZ = 2_000;

/** Whether a sample is of the same life of the same hub as the last one, and not newer. */
function isSeen(last: Stats, sample: Stats): boolean {
  const start = ({ at, uptimeSeconds }: Stats): number => at - uptimeSeconds * 1_000;
  return last.pid === sample.pid && sample.at <= last.at && Math.abs(start(last) - start(sample)) <= START_FUZZ;
}

/** How much a counter grew in a second; `null` where it cannot be known: another hub counts from 0. */
export function rateOf(before: Stats | null, now: Stats, pick: (stats: Stats) => number): number | null {
  if (!before || !isSameHub(before, now)) return null;
  const seconds = (now.at - before.at) / 1_000;
  const grown = pick(now) - pick(before);
  return seconds > 0 && grown >= 0 ? grown / seconds : null;
}

/** What the hub counts as used: what it knows of, or what the system says, whichever is more. */
export const memoryOf = (stats: Stats): number => Math.max(stats.usedBytes, stats.observedBytes);

function pointOf(sample: Stats, before: Stats | null): Point {
  const rate = (pick: (stats: Stats) => number): number | null => rateOf(before, sample, pick);
  return {
    at: sample.at / 1_000,
    memory: memoryOf(sample),
    warning: sample.warningBytes,
    critical: sample.criticalBytes,
    subscribers: sample.subscribers,
    sessions: sample.sessions,
    published: rate((stats) => stats.published),
    delivered: rate((stats) => stats.delivered),
    p50: sample.p50Ms,
    p99: sample.p99Ms,
    gaps: rate((stats) => stats.gaps),
    refused: rate((stats) => stats.refused),
  };
}

function holeAt(at: number): Point {
  const none = null;
  return {
    at: at / 1_000,
    memory: none,
    warning: none,
    critical: none,
    subscribers: none,
    sessions: none,
    published: none,
    delivered: none,
    p50: none,
    p99: none,
    gaps: none,
    refused: none,
  };
}

/** The columns that a plot is drawn from: the times, then a line each. */
export function columns(points: readonly Point[], lines: readonly (keyof Point)[]): (number | null)[][] {
  return [points.map(({ at }) => at), ...lines.map((line) => points.map((point) => point[line]))];
}
