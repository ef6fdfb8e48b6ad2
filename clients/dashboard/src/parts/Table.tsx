import type { ReactNode } from "react";
import { nextSorting, type Sorting } from "../model/listing.ts";

export interface Column {
  readonly label: string;
  /** What the hub calls the order of it; without one, it cannot be sorted by it. */
  readonly sort?: string;
  readonly isNumber?: boolean;
}

interface TableProps {
  label: string;
  columns: readonly Column[];
  sorting?: Sorting;
  onSort?: (sorting: Sorting) => void;
  isBusy?: boolean;
  children: ReactNode;
}

/** A table that scrolls by itself where it is too wide, also by the keyboard. */
export function Table({ label, columns, sorting, onSort, isBusy = false, children }: TableProps) {
  return (
    <div className="scroll" role="region" aria-label={label} tabIndex={0} aria-busy={isBusy}>
      <table>
        <thead>
          <tr>
            {columns.map(({ label, sort, isNumber }) => (
              <th key={label} scope="col" className={isNumber ? "number" : undefined} aria-sort={sorting && sort ? ariaOf(sorting, sort) : undefined}>
                {sort && sorting && onSort ? (
                  <button type="button" className="sort" data-testid={`sort-${sort}`} onClick={() => onSort(nextSorting(sorting, sort))}>
                    {label}
                    <span aria-hidden="true">{sorting.by === sort ? (sorting.order === "asc" ? " ▲" : " ▼") : " ↕"}</span>
                  </button>
                ) : (
                  label
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

function ariaOf(sorting: Sorting, sort: string): "ascending" | "descending" | "none" {
  if (sorting.by !== sort) return "none";
  return sorting.order === "asc" ? "ascending" : "descending";
}
