import { memo } from "react";
import type { Status, Summary } from "../model/run.ts";
import { hrefOf } from "./useSelected.ts";

export const STATUS: Readonly<Record<Status, string>> = {
  running: "at work",
  done: "done",
  failed: "failed",
  interrupted: "interrupted",
};

export function RunRows({ rows, selected }: { rows: readonly Summary[]; selected: string }) {
  return (
    <ol className="rows" data-testid="rows">
      {rows.map((row) => (
        <RunRow key={row.id} row={row} isSelected={row.id === selected} />
      ))}
    </ol>
  );
}

/** Rendered again when it changes: with two hundred runs at work that is rarely all of them. */
const RunRow = memo(function RunRow({ row, isSelected }: { row: Summary; isSelected: boolean }) {
  const { id, task, status, done, total } = row;
  return (
    <li data-testid="row" data-id={id} data-status={status}>
      <a href={hrefOf(id)} aria-current={isSelected ? "true" : undefined}>
        <span className="task">{task}</span>
        <span className="status">{status === "running" ? `${done} of ${total}` : STATUS[status]}</span>
      </a>
    </li>
  );
});
