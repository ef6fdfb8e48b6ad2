import { SERVICES_MAX, type Sample, type Service } from "./sample.ts";

/** How far back it looks, seconds. */
export const SPAN = 600;
/** Moments of one service, whatever the interval. */
const POINTS_MAX = 1_200;
/** Without a sample for so many intervals something is missing. */
export const LATE_AFTER = 2.5;

/** A service at a moment; `null` is not known, and a hole in the plot. */
export interface Point {
  /** Seconds since the Unix epoch, by the hub's clock. */
  readonly at: number;
  readonly cpu: number | null;
  readonly memory: number | null;
}

/** A time without samples: the connection was away, or nothing came. */
export interface Away {
  readonly from: number;
  readonly to: number;
}

export interface Track {
  /** As it was in the last sample that had it. */
  readonly service: Service;
  /** Whether the last sample had it. */
  readonly isThere: boolean;
  readonly points: readonly Point[];
}

/** What came in the last minutes, in bounds. A new object for each change. */
export interface History {
  readonly last: Sample | null;
  /** In the order of the last sample; those that it has no more come last. */
  readonly tracks: readonly Track[];
  readonly aways: readonly Away[];
  /** What is to count as a hole before the next sample. */
  readonly isAway: boolean;
  /** Events that were no samples. */
  readonly unreadable: number;
  /** How often the hub's clock went back, and the plots began anew. */
  readonly restarts: number;
}

export const NO_HISTORY: History = { last: null, tracks: [], aways: [], isAway: false, unreadable: 0, restarts: 0 };

/** The connection is away, or something is missing: what comes next does not go on from what came last. */
export function goAway(history: History): History {
  return history.isAway || !history.last ? history : { ...history, isAway: true };
}

export function addSample(history: History, sample: Sample | null): History {
  if (!sample) return { ...history, unreadable: history.unreadable + 1 };
  const { last } = history;
  const at = sample.sampledAt;
  if (last && at === last.sampledAt) return { ...history, last: sample };
  // Two orders of time do not fit into one plot.
  if (last && at < last.sampledAt) {
    return addSample({ ...NO_HISTORY, unreadable: history.unreadable, restarts: history.restarts + 1 }, sample);
  }
  const isLate = last && at - last.sampledAt > LATE_AFTER * Math.max(sample.interval, last.interval);
  const hole = last && (history.isAway || isLate) ? { from: last.sampledAt, to: at } : null;
  const since = at - SPAN;
  return {
    ...history,
    last: sample,
    isAway: false,
    aways: [...history.aways, ...(hole ? [hole] : [])].filter(({ to }) => to > since).slice(-POINTS_MAX),
    tracks: mergeTracks(history.tracks, sample, hole, since),
  };
}

function mergeTracks(before: readonly Track[], { sampledAt: at, services }: Sample, hole: Away | null, since: number): Track[] {
  const old = new Map(before.map((track) => [track.service.id, track]));
  const grow = (points: readonly Point[], point: Point): Point[] => {
    const gap = hole && points.length ? [nothing(hole.from)] : [];
    const all = [...points, ...gap, point];
    return all.slice(Math.max(0, all.length - POINTS_MAX)).filter((one) => one.at >= since);
  };
  const ids = new Set(services.map(({ id }) => id));
  const there = [...new Map(services.map((service) => [service.id, service])).values()].map((service): Track => {
    return { service, isThere: true, points: grow(old.get(service.id)?.points ?? [], pointOf(service, at)) };
  });
  const gone = before
    .filter(({ service }) => !ids.has(service.id))
    .map((track): Track => ({ ...track, isThere: false, points: grow(track.points, nothing(at)) }))
    // As long as something of it is to be seen.
    .filter(({ points }) => points.some(({ cpu, memory }) => cpu !== null || memory !== null));
  return [...there, ...gone].slice(0, SERVICES_MAX);
}

function pointOf({ figures }: Service, at: number): Point {
  return { at, cpu: figures.get("cpuPercent")?.value ?? null, memory: figures.get("memoryBytes")?.value ?? null };
}

function nothing(at: number): Point {
  return { at, cpu: null, memory: null };
}
