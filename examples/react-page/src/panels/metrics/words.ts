import type { Figure, Service } from "./sample.ts";

const REASONS: Readonly<Record<string, string>> = {
  first_sample: "a rate needs a second sample",
  restarted: "its counter began anew",
  not_a_number: "it is not a number (NaN)",
  infinite: "it is infinite",
  no_permission: "the hub may not read it",
  not_available: "not available here",
};

/** Why a figure is not known. A reason that we do not know says it itself. */
export function sayReason(reason: string): string {
  return Object.hasOwn(REASONS, reason) ? (REASONS[reason] as string) : reason;
}

const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function sayBytes(bytes: number): string {
  const power = Math.min(Math.max(Math.floor(Math.log2(Math.abs(bytes) || 1) / 10), 0), BYTES.length - 1);
  const value = bytes / 1024 ** power;
  return `${sayNumber(value, power && Math.abs(value) < 100 ? 1 : 0)} ${BYTES[power]}`;
}

export function sayPercent(percent: number): string {
  return `${sayNumber(percent, 1)} %`;
}

export function sayNumber(value: number, digits = 3): string {
  return value.toLocaleString(undefined, { maximumFractionDigits: digits });
}

/** The figures that have a name of their own, in this order, and how each is said. */
const NAMES: readonly (readonly [name: string, label: string, say: (value: number) => string])[] = [
  ["cpuPercent", "CPU", sayPercent],
  ["cpuCores", "CPU in cores", (value) => sayNumber(value, 2)],
  ["cpuLimitCores", "CPU limit in cores", (value) => sayNumber(value, 2)],
  ["memoryBytes", "Memory", sayBytes],
  ["memoryLimitBytes", "Memory limit", sayBytes],
  ["memoryPercent", "Memory of limit", sayPercent],
  ["threads", "Threads", sayNumber],
  ["fds", "Open files", sayNumber],
  ["readBytesPerSecond", "Read", (value) => `${sayBytes(value)}/s`],
  ["writeBytesPerSecond", "Written", (value) => `${sayBytes(value)}/s`],
];

/** A figure in words, or why there is none. */
export interface Said {
  readonly name: string;
  readonly label: string;
  readonly text: string;
  readonly reason?: string;
}

/** All figures of a service, those without a name of their own by the hub's. */
export function sayFigures({ figures }: Pick<Service, "figures">): readonly Said[] {
  const known = NAMES.filter(([name]) => figures.has(name));
  const others = [...figures.keys()].filter((name) => !NAMES.some(([known]) => known === name));
  const all = [...known, ...others.map((name) => [name, name, (value: number) => sayNumber(value)] as const)];
  return all.map(([name, label, say]) => ({ name, label, ...sayFigure(figures.get(name), say) }));
}

export function sayFigure(figure: Figure | undefined, say: (value: number) => string): { text: string; reason?: string } {
  if (!figure) return { text: "–" };
  return figure.value === null ? { text: "–", reason: sayReason(figure.reason) } : { text: say(figure.value) };
}

const WHOSE: Readonly<Record<string, string>> = {
  machine: "figures and limits of the whole machine",
  cgroup: "figures and limits of its cgroup (container)",
};

/** Whose figures these are. */
export function sayOf({ of, source }: Pick<Service, "of" | "source">): string {
  const whose = of === undefined ? "" : Object.hasOwn(WHOSE, of) ? WHOSE[of] : `of ${of}`;
  return [source, whose].filter(Boolean).join(" · ");
}

/** How long ago, in words that do not change too often. */
export function sayAge(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  return whole < 120 ? `${whole} s` : `${Math.floor(whole / 60)} min`;
}
