import type { ConnectionState } from "watertight/react";
import { sayGap } from "../../journal/words.ts";
import type { LogEnd } from "./record.ts";
import type { Row } from "./rows.ts";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });

/** A time of day, to the millisecond. */
export function sayTime(seconds: number): string {
  const at = new Date(seconds * 1_000);
  return `${clock.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

export function sayEnd({ exitCode, endedAt }: LogEnd): string {
  const how = exitCode === null ? "Ended without an exit code" : `Ended with exit code ${exitCode}`;
  return endedAt === null ? how : `${how}, ${day.format(endedAt * 1_000)}`;
}

/** A row that is no line, in words. */
export function sayRow(row: Exclude<Row, { kind: "line" }>): string {
  switch (row.kind) {
    case "gap":
      if (row.isWhole) return "The hub began anew; the lines were sent again, and by their numbers none is missing";
      return sayGap(row.gap, "line");
    case "end":
      return sayEnd(row.end);
    case "another":
      return "Another run begins here: its lines are numbered anew";
    case "skipped": {
      const gaps = row.gaps ? ` and ${count(row.gaps, "gap")}` : "";
      return `${count(row.lines, "line")}${gaps} came during the pause and could not be kept`;
    }
  }
}

export function count(n: number, noun: string): string {
  return `${n.toLocaleString()} ${noun}${n === 1 ? "" : "s"}`;
}

/** What the state of the connection means for somebody who watches a log. */
export function sayState(state: ConnectionState, hasEnded: boolean): string {
  switch (state) {
    case "idle":
      return "Not connected";
    case "connecting":
      return "Connecting";
    case "open":
      return "Live";
    case "polling":
      return "Live, by long-polling";
    case "reconnecting":
      return "Reconnecting; goes on where it was";
    case "closed":
      return hasEnded ? "Over" : "Closed";
    case "error":
      return "Failed";
  }
}
