import type { Gap } from "watertight";
import type { AgentMessage, NetworkUpdate } from "../network.ts";
import { createRate, type Rate } from "./rate.ts";
import { createCounter, type Tally } from "./tally.ts";

/** How many rows the log has. What is older is let go: events are data, and data needs a bound. */
export const ROWS_MAX = 200;

/** A row of the log. */
export type Row = { readonly key: number; readonly at: number } & (
  | { readonly kind: "update"; readonly n: number; readonly message: AgentMessage }
  | { readonly kind: "repeat"; readonly n: number }
  | { readonly kind: "gap"; readonly gap: Gap }
  | { readonly kind: "hole"; readonly missing: number; readonly told: boolean }
);

/** What the page shows, as it was at one moment. */
export interface View {
  readonly tally: Tally;
  /** The newest first. */
  readonly rows: readonly Row[];
  /** The network after the last update. */
  readonly latest: NetworkUpdate | undefined;
  readonly lastId: string;
}

/**
 * What came over the stream. It lives outside of React: events go in as they come, at any rate, and whoever looks is told
 * once a frame at most.
 */
export interface Journal {
  readonly update: (update: NetworkUpdate, id: string) => void;
  readonly gap: (gap: Gap, id: string) => void;
  readonly rate: Rate;
  /** Where a reader would go on: the id of the last event, also if nobody has looked since. */
  readonly position: () => string;
  readonly subscribe: (onChange: () => void) => () => void;
  /** The same object until something changes. */
  readonly view: () => View;
}

/** Without a kind, a row is what all rows are. */
type News<R> = R extends Row ? Omit<R, "key" | "at"> : never;

export function createJournal(nextFrame: (call: () => void) => unknown = requestAnimationFrame): Journal {
  const counter = createCounter();
  const rate = createRate();
  const listeners = new Set<() => void>();
  let rows: Row[] = [];
  let latest: NetworkUpdate | undefined;
  let lastId = "";
  let key = 0;
  let view: View = { tally: counter.tally(), rows, latest, lastId };
  let due = false;

  const note = (news: News<Row>): void => {
    rows.push({ ...news, key: ++key, at: Date.now() });
  };

  const changed = (id: string): void => {
    lastId = id;
    // Twice as many before they are cut, so that not every event copies all of them.
    if (rows.length > ROWS_MAX * 2) rows = rows.slice(-ROWS_MAX);
    if (due) return;
    due = true;
    nextFrame(() => {
      due = false;
      view = { tally: counter.tally(), rows: rows.slice(-ROWS_MAX).reverse(), latest, lastId };
      for (const listener of listeners) listener();
    });
  };

  return {
    rate,
    position: () => lastId,
    update(update, id) {
      const { isNew, missing, told } = counter.update(update, id);
      rate.count(Date.now());
      if (missing) note({ kind: "hole", missing, told });
      note(isNew ? { kind: "update", n: update.n, message: update.message } : { kind: "repeat", n: update.n });
      if (isNew) latest = update;
      changed(id);
    },
    gap(gap, id) {
      counter.gap();
      rate.mark(Date.now());
      note({ kind: "gap", gap });
      changed(id);
    },
    subscribe(onChange) {
      listeners.add(onChange);
      return () => listeners.delete(onChange);
    },
    view: () => view,
  };
}
