// `event: metrics`, read with care: nothing in it is trusted to be what it should be, and all of it has a bound.

import { showControls } from "../controls.ts";

/** How many services, families and samples of a family are read; the page says how many there were. */
export const SERVICES_MAX = 64;
const FAMILIES_MAX = 100;
const SAMPLES_MAX = 200;
/** Of figures of one service, and of labels of one sample. */
const ENTRIES_MAX = 32;
/** Of any text, UTF-16 units. */
const TEXT_MAX = 300;

/** A figure, or why there is none now. Never 0 for what is not known. */
export type Figure = { readonly value: number } | { readonly value: null; readonly reason: string };

/** One line of a Prometheus family. */
export interface MetricSample {
  readonly name: string;
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly value: Figure;
  /** Absent where a rate has no meaning. */
  readonly perSecond?: Figure;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly MetricSample[];
  /** How many more there were. */
  readonly more: number;
}

/** A service at one moment. */
export interface Service {
  readonly id: string;
  /** `host`, `cgroup`, `process`, `prometheus`. */
  readonly source: string;
  /** Whose limits its figures are of: `machine` or `cgroup`. */
  readonly of?: string;
  readonly error: { readonly code: string; readonly detail: string } | null;
  readonly figures: ReadonlyMap<string, Figure>;
  readonly families: readonly Family[];
}

/** All services at one moment. */
export interface Sample {
  /** Seconds since the Unix epoch, by the hub's clock. */
  readonly sampledAt: number;
  /** Between two samples, seconds. */
  readonly interval: number;
  readonly services: readonly Service[];
  /** How many more there were than are read. */
  readonly more: number;
}

/** The default of the hub, seconds, where an event names no interval. */
const INTERVAL = 5;

/** @returns `null` for what is no sample at all */
export function readSample(data: unknown): Sample | null {
  const { sampledAt, interval, services } = record(data);
  if (typeof sampledAt !== "number" || !Array.isArray(services)) return null;
  const read = services.slice(0, SERVICES_MAX).map(readService);
  return {
    sampledAt,
    interval: typeof interval === "number" && interval > 0 ? interval : INTERVAL,
    services: read.filter((service) => service !== null),
    more: services.length - read.length,
  };
}

function readService(data: unknown): Service | null {
  const { id, source, of, error, figures, missing, families } = record(data);
  if (typeof id !== "string") return null;
  const reasons = record(missing);
  const { code, detail } = record(error);
  return {
    id: text(id),
    source: text(source),
    ...(typeof of === "string" && { of: text(of) }),
    error: error ? { code: text(code) || "ERROR", detail: text(detail) } : null,
    figures: new Map(
      Object.entries(record(figures))
        .slice(0, ENTRIES_MAX)
        .map(([name, value]) => [text(name), readFigure(value, reasons[name])]),
    ),
    families: Array.isArray(families) ? families.slice(0, FAMILIES_MAX).map(readFamily) : [],
  };
}

function readFamily(data: unknown): Family {
  const { name, type, help, samples } = record(data);
  const all: unknown[] = Array.isArray(samples) ? samples : [];
  const read = all.slice(0, SAMPLES_MAX).map(readMetric);
  return { name: text(name), type: text(type), help: text(help), samples: read, more: all.length - read.length };
}

function readMetric(data: unknown): MetricSample {
  const { name, labels, value, perSecond, missing } = record(data);
  return {
    name: text(name),
    labels: Object.entries(record(labels))
      .slice(0, ENTRIES_MAX)
      .map(([label, of]) => [text(label), text(of)]),
    value: readFigure(value, missing),
    ...(perSecond !== undefined && { perSecond: readFigure(perSecond, missing) }),
  };
}

function readFigure(value: unknown, reason: unknown): Figure {
  if (typeof value === "number" && Number.isFinite(value)) return { value };
  return { value: null, reason: text(reason) || "not_available" };
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? showControls(value.slice(0, TEXT_MAX)) : "";
}
