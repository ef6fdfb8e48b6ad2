// What a page knows of a user's runs. Each row stands for itself, and the greater `n` is the newer one, so rows may come
// twice, in any order, by event or by snapshot.
import type { Summary } from "./run.ts";

/** How many rows are kept, as many as the service keeps. */
export const ROWS_MAX = 500;

export interface ListView {
  /** The newest first; `null` before the first snapshot. */
  readonly rows: readonly Summary[] | null;
  readonly gaps: number;
  readonly mended: number;
}

export const NO_LIST: ListView = { rows: null, gaps: 0, mended: 0 };

/** Whether rows are missing that only a snapshot can bring. */
export function isListStale({ rows, gaps, mended }: ListView): boolean {
  return rows === null || gaps > mended;
}

export function withListGap(view: ListView): ListView {
  return { ...view, gaps: view.gaps + 1 };
}

/** @param gaps how many gaps were known when the snapshot was asked for */
export function withListSnapshot(view: ListView, snapshot: readonly Summary[], gaps: number): ListView {
  return { ...withRows(view, snapshot), mended: Math.max(view.mended, gaps) };
}

export function withRows(view: ListView, news: readonly Summary[]): ListView {
  const byId = new Map(view.rows?.map((row) => [row.id, row]));
  for (const row of news) {
    const known = byId.get(row.id);
    if (!known || known.n < row.n) byId.set(row.id, row);
  }
  const rows = [...byId.values()].sort((a, b) => b.startedAt - a.startedAt || (a.id < b.id ? -1 : 1));
  return { ...view, rows: rows.slice(0, ROWS_MAX) };
}
