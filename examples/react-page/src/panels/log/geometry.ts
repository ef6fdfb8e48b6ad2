// Where rows of one height are in a box that scrolls. Knows nothing of the page.

/** The height of every row, pixels: with one for all, where a row is need not be measured. The style sheet has it, too. */
export const ROW_HEIGHT = 20;
/** Rows that are drawn above and below what is seen. */
const OVERSCAN = 12;

export interface Box {
  /** How far it is scrolled, and how high it is, pixels. */
  readonly top: number;
  readonly height: number;
  /** The number of the first row that it could show, and of the one after the last. */
  readonly first: number;
  readonly next: number;
}

/** The furthest that it scrolls, pixels. */
export function bottomOf({ height, first, next }: Omit<Box, "top">): number {
  return Math.max(0, (next - first) * ROW_HEIGHT - height);
}

/** The rows to draw: the number of the first, and of the one after the last. */
export function rowsIn({ top, height, first, next }: Box): { from: number; until: number } {
  const seen = first + Math.floor(top / ROW_HEIGHT);
  const from = Math.max(first, Math.min(seen - OVERSCAN, next));
  const until = Math.min(next, seen + Math.ceil(height / ROW_HEIGHT) + 1 + OVERSCAN);
  return { from, until: Math.max(from, until) };
}

/** Where to scroll so that a row is seen: as little as it takes, and not to the very rim. */
export function reveal(n: number, box: Box): number {
  const at = (n - box.first) * ROW_HEIGHT;
  const space = Math.min(2 * ROW_HEIGHT, box.height / 4);
  const top = at < box.top ? at - space : at + ROW_HEIGHT > box.top + box.height ? at + ROW_HEIGHT + space - box.height : box.top;
  return Math.max(0, Math.min(top, bottomOf(box)));
}

/** What somebody who scrolls wants: to follow, or to read. */
export function wantsToFollow(isFollowing: boolean, before: number, top: number, bottom: number): boolean {
  // The box may shrink under one who follows: at its end nobody has scrolled away.
  if (top >= bottom - 2) return isFollowing || top > before;
  return isFollowing && top >= before - 1;
}
