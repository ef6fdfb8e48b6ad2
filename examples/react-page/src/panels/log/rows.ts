import type { Gap } from "watertight";
import type { LogEnd, LogLine } from "./record.ts";

/** A row of the log panel: a line, or what is to be known of the lines around it. */
export type Row =
  | { readonly kind: "line"; readonly line: LogLine }
  /** `isWhole`: the lines came again after it, by their numbers none is missing. */
  | { readonly kind: "gap"; readonly gap: Gap; readonly isWhole: boolean }
  | { readonly kind: "end"; readonly end: LogEnd }
  /** The numbers begin anew: another run of the same deployment. */
  | { readonly kind: "another" }
  /** What the pause could not keep. */
  | { readonly kind: "skipped"; readonly lines: number; readonly gaps: number };

/** What a row is charged beside its text, UTF-16 units: the objects around it. */
const ROW_CHARS = 64;

/** What a row holds, UTF-16 units. */
export function charsOf(row: Row): number {
  return ROW_CHARS + (row.kind === "line" ? row.line.text.length : 0);
}
