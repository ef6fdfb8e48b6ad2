import type { LogLine } from "./record.ts";

/** What is known of a line that comes: nothing of its number; the very line is here, or was; its number is another line's. */
export type Verdict = "new" | "known" | "forgotten" | "other";

/**
 * Knows the lines of one run by their numbers, so that a line that comes again is not shown again. A number alone is not
 * enough to drop a line: the next run of the same deployment counts from 1, too.
 */
export class Numbers {
  /** Line -> the row it is in. As bounded as the rows. */
  readonly #rows = new Map<number, number>();
  /** The last line that was let go, and when it was read. */
  #gone = { line: 0, at: -Infinity };
  /** The highest number so far. */
  last = 0;

  rowOf({ line }: LogLine): number | undefined {
    return line === undefined ? undefined : this.#rows.get(line);
  }

  /** @param kept the line that is here under the same number */
  judge(line: LogLine, kept: LogLine | undefined): Verdict {
    if (line.line === undefined) return "new";
    if (kept) return isSameLine(kept, line) ? "known" : "other";
    if (line.line > this.#gone.line) return "new";
    return line.at !== undefined && line.at <= this.#gone.at ? "forgotten" : "other";
  }

  add({ line }: LogLine, row: number): void {
    if (line === undefined) return;
    this.#rows.set(line, row);
    this.last = Math.max(this.last, line);
  }

  /** A row is let go. */
  forget({ line, at }: LogLine, row: number): void {
    if (line === undefined || this.#rows.get(line) !== row) return;
    this.#rows.delete(line);
    this.#gone = { line: Math.max(this.#gone.line, line), at: Math.max(this.#gone.at, at ?? -Infinity) };
  }

  /** Another run begins. */
  clear(): void {
    this.#rows.clear();
    this.#gone = { line: 0, at: -Infinity };
    this.last = 0;
  }
}

/** Whether two records with the same number are of one line. Its time says so; without times only its text can. */
function isSameLine(kept: LogLine, line: LogLine): boolean {
  if (kept.at !== undefined || line.at !== undefined) return kept.at === line.at && kept.stream === line.stream;
  return kept.text === line.text && kept.stream === line.stream;
}
