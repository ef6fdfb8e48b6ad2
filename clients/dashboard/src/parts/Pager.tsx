import { useEffect, useState } from "react";
import type { CallError } from "../call.ts";
import { sayCount } from "../model/words.ts";

/** Where one is in a list that is read page by page, and the way back. Another question begins at its first page. */
export interface Pages {
  readonly cursor: string | null;
  readonly number: number;
  forth(next: string): void;
  back(): void;
  first(): void;
}

export function usePages(question: string): Pages {
  const [{ of, cursors }, set] = useState<{ of: string; cursors: readonly string[] }>({ of: question, cursors: [] });
  // At once, not after a render: the cursor of one list says nothing of another.
  const here = of === question ? cursors : [];
  const go = (cursors: readonly string[]): void => set({ of: question, cursors });
  return {
    cursor: here.at(-1) ?? null,
    number: here.length + 1,
    forth: (next) => go([...here, next]),
    back: () => go(here.slice(0, -1)),
    first: () => go([]),
  };
}

/** Begins at the first page again where the hub knows the cursor no more: it was started again meanwhile. */
export function useStartOver({ number, first }: Pages, error: CallError | null): void {
  const isStale = number > 1 && error?.code === "STALE_CURSOR";
  useEffect(() => {
    if (isStale) first();
  });
}

interface PagerProps {
  pages: Pages;
  next: string | null;
  matched: number | null;
  total: number | null;
  isBusy: boolean;
}

export function Pager({ pages, next, matched, total, isBusy }: PagerProps) {
  return (
    <nav className="pager" aria-label="Pages of the list">
      <button type="button" disabled={pages.number === 1} onClick={pages.first} data-testid="first">
        First
      </button>
      <button type="button" disabled={pages.number === 1} onClick={pages.back} data-testid="back">
        Back
      </button>
      <button type="button" disabled={next === null || isBusy} onClick={() => next !== null && pages.forth(next)} data-testid="next">
        Next
      </button>
      <p className="hint number" role="status" data-testid="matched">
        page {pages.number}
        {matched !== null && `, ${sayCount(matched)} found`}
        {total !== null && ` of ${sayCount(total)}`}
      </p>
    </nav>
  );
}
