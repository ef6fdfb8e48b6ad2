import type { NetworkUpdate } from "../network.ts";

/** How many ids are remembered, to know one that comes twice. */
const IDS_MAX = 5_000;
/** How many publishers are told apart at a time. */
const RUNS_MAX = 16;

/** What has come and what has not. */
export interface Tally {
  /** Updates, each counted once. */
  readonly received: number;
  /** Events with an id that came before. The hub and the client promise that there are none. */
  readonly duplicates: number;
  /** Updates that their publisher sent to two lives of the hub, because the first had died without an answer. */
  readonly repeated: number;
  /** Holes in the running numbers that no gap told of. The hub promises that there are none. */
  readonly lost: number;
  /** Holes that a gap told of. */
  readonly told: number;
  /** Gaps. */
  readonly gaps: number;
}

/** Counts by id and by the publishers' running numbers; bounded, however long it goes on. */
export interface Counter {
  /** A gap came. */
  gap(): void;
  /** An update came. Says whether it is news, and how many are missing right before it. */
  update(update: Pick<NetworkUpdate, "run" | "n">, id: string): { isNew: boolean; missing: number; told: boolean };
  tally(): Tally;
}

export function createCounter(): Counter {
  const ids = new Set<string>();
  /** Publisher -> its last number, and how many gaps there had been when it came. */
  const runs = new Map<string, { n: number; gaps: number }>();
  let counts: Tally = { received: 0, duplicates: 0, repeated: 0, lost: 0, told: 0, gaps: 0 };

  const add = (name: keyof Tally, more = 1): void => {
    counts = { ...counts, [name]: counts[name] + more };
  };

  return {
    gap: () => add("gaps"),
    tally: () => counts,
    update({ run, n }, id) {
      const last = runs.get(run);
      const old = { isNew: false, missing: 0, told: false };
      if (ids.has(id)) {
        add("duplicates");
        return old;
      }
      keep(ids.add(id), IDS_MAX);
      if (last && n <= last.n) {
        add("repeated");
        return old;
      }
      const missing = last ? n - last.n - 1 : 0;
      const told = !!last && last.gaps < counts.gaps;
      if (missing) add(told ? "told" : "lost", missing);
      add("received");
      // The one that spoke last is the last one to go.
      runs.delete(run);
      keep(runs.set(run, { n, gaps: counts.gaps }), RUNS_MAX);
      return { isNew: true, missing, told };
    },
  };
}

/** Lets the oldest go where there are too many. */
function keep(all: Set<string> | Map<string, unknown>, max: number): void {
  const [oldest] = all.keys();
  if (all.size > max && oldest !== undefined) all.delete(oldest);
}
