/** What the hub says of itself: `/stats`, and each event of `/stats/stream`. */

export interface Tally {
  readonly opened: number;
  readonly closed: number;
  readonly live: number;
}

/** A sample, as far as it is shown. */
export interface Stats {
  /** Milliseconds since 1970, by the hub's clock. */
  readonly at: number;
  readonly sessions: number;
  readonly subscribers: number;
  readonly events: number;
  readonly published: number;
  readonly delivered: number;
  readonly gaps: number;
  readonly refused: number;
  readonly usedBytes: number;
  readonly observedBytes: number;
  readonly warningBytes: number;
  readonly criticalBytes: number;
  readonly rung: string;
  readonly owners: Readonly<Record<string, number>>;
  readonly ledger: Readonly<Record<string, Tally>>;
  readonly gapsByReason: Readonly<Record<string, number>>;
  readonly closesByReason: Readonly<Record<string, number>>;
  readonly refusalsByReason: Readonly<Record<string, number>>;
  /** How long events took in the last second, from being accepted until they were handed to readers who keep up. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly version: string;
}

type Json = Readonly<Record<string, unknown>>;

const json = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});
const num = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);
const maybe = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);
const str = (value: unknown): string => (typeof value === "string" ? value : "");
const counts = (value: unknown): Record<string, number> =>
  Object.fromEntries(Object.entries(json(value)).map(([name, count]) => [name, num(count)]));
const sum = (of: Record<string, number>): number => Object.values(of).reduce((all, one) => all + one, 0);

/** Reads a sample; `null` if it is none. @param now where the hub did not say when: `/stats` does not */
export function readStats(data: unknown, now?: number): Stats | null {
  const of = json(data);
  const at = maybe(of["at"]) ?? now;
  const budget = json(of["budget"]);
  const process = json(of["process"]);
  if (at === undefined || maybe(budget["usedBytes"]) === null) return null;
  const metrics = json(of["metrics"]);
  const delivery = json(json(of["latency"])["delivery"]);
  const refusalsByReason = counts(of["refusalsByReason"]);
  return {
    at,
    sessions: num(of["totalSessions"]),
    subscribers: num(of["totalSubscribers"]),
    events: num(of["totalEvents"]),
    published: num(metrics["eventsPublished"]),
    delivered: num(metrics["eventsDelivered"]),
    gaps: num(metrics["gaps"]),
    refused: of["refusalsByReason"] ? sum(refusalsByReason) : num(metrics["connectionsRefused"]),
    usedBytes: num(budget["usedBytes"]),
    observedBytes: num(budget["observedBytes"]),
    warningBytes: num(budget["warningBytes"]),
    criticalBytes: num(budget["criticalBytes"]),
    rung: str(budget["level"]),
    owners: counts(budget["owners"]),
    ledger: Object.fromEntries(
      Object.entries(json(of["ledger"])).map(([kind, row]) => {
        const { opened, closed, live } = json(row) as Record<string, unknown>;
        return [kind, { opened: num(opened), closed: num(closed), live: num(live) }];
      }),
    ),
    gapsByReason: counts(of["gapsByReason"]),
    closesByReason: counts(of["closesByReason"]),
    refusalsByReason,
    p50Ms: maybe(delivery["p50Ms"]),
    p99Ms: maybe(delivery["p99Ms"]),
    pid: num(process["pid"]),
    uptimeSeconds: num(process["uptimeSeconds"]),
    version: str(process["version"]),
  };
}

/** The kinds of the ledger that do not add up: more closed than opened, or another number alive than the difference. */
export function wrongInLedger(ledger: Stats["ledger"]): readonly string[] {
  return Object.entries(ledger)
    .filter(([, { opened, closed, live }]) => closed > opened || live !== opened - closed)
    .map(([kind]) => kind);
}
