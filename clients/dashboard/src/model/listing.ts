/** What a list is asked for; empty words ask for nothing. */
export type Filters = Readonly<Record<string, string>>;

/** Rows of a page. */
export const PAGE_SIZE = 100;

/** The address of one page of a list. */
export function listPath(list: string, filters: Filters, cursor: string | null): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) {
    const words = value.trim();
    if (words) query.set(name, words);
  }
  query.set("limit", String(PAGE_SIZE));
  if (cursor !== null) query.set("cursor", cursor);
  return `${list}?${query}`;
}

export interface Sorting {
  readonly by: string;
  readonly order: "asc" | "desc";
}

/** What a press on a column asks for: the other order of the same one, or another one in the order that suits it. */
export function nextSorting(now: Sorting, by: string): Sorting {
  if (now.by === by) return { by, order: now.order === "asc" ? "desc" : "asc" };
  // Names from A; figures from the largest, which is what one looks for.
  return { by, order: by === "name" ? "asc" : "desc" };
}
