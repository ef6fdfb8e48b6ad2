import type { Gap, SSEEvent } from "watertight";
import type { AgentMessage, NetworkUpdate } from "../network.ts";
import { createRate, type Rate } from "./rate.ts";
import { createCounter, type Tally } from "./tally.ts";

/** How many rows the log has, if nothing else is said. What is older is let go: events are data, and data needs a bound. */
export const ROWS = 200;
/** More than these the log cannot be told to have. */
export const ROWS_MAX = 5_000;

/** A row of the log. */
export type Row = { readonly key: number; readonly at: number } & News;
type News =
  | { readonly kind: "update"; readonly n: number; readonly message: AgentMessage }
  | { readonly kind: "repeat"; readonly n: number }
  | { readonly kind: "gap"; readonly gap: Gap }
  | { readonly kind: "hole"; readonly missing: number; readonly told: boolean };

/** What came over the stream, as it was at one moment. */
export interface Journal {
  readonly tally: Tally;
  /** The newest first. */
  readonly rows: readonly Row[];
  /** The network after the last update. */
  readonly latest: NetworkUpdate | undefined;
  readonly rate: Rate;
}

/**
 * An empty journal of so many rows, and what makes of it and an event the next one: for `useSSEState`, which calls it once for
 * each event.
 */
export function createJournal(rowsMax = ROWS): { empty: Journal; reduce(journal: Journal, data: unknown, event: SSEEvent): Journal } {
  const counter = createCounter();
  const rate = createRate();
  let key = 0;
  const add = (rows: readonly Row[], ...news: News[]): Row[] =>
    [...news.map((each) => ({ ...each, key: ++key, at: Date.now() })).reverse(), ...rows].slice(0, rowsMax);

  return {
    empty: { tally: counter.tally(), rows: [], latest: undefined, rate },
    reduce(journal, data, { type, id }) {
      const { rows, latest } = journal;
      if (type === "gap") {
        counter.gap();
        rate.mark(Date.now());
        return { ...journal, tally: counter.tally(), rows: add(rows, { kind: "gap", gap: data as Gap }) };
      }
      if (type !== "agent_network_update") return journal;
      const update = data as NetworkUpdate;
      const { isNew, missing, told } = counter.update(update, id);
      rate.count(Date.now());
      const { n, message } = update;
      const news: News[] = missing ? [{ kind: "hole", missing, told }] : [];
      news.push(isNew ? { kind: "update", n, message } : { kind: "repeat", n });
      return { rate, tally: counter.tally(), rows: add(rows, ...news), latest: isNew ? update : latest };
    },
  };
}
