import { Ring } from "./ring.ts";
import { charsOf, type Row } from "./rows.ts";

/** What comes during a pause, in bounds: beyond them the oldest goes, and is counted. */
export class Waiting {
  readonly #rows: Ring<Row>;
  readonly #charsMax: number;
  #chars = 0;
  #skipped = { lines: 0, gaps: 0 };
  #epochs = 0;
  /** Lines that have not ended -> where they wait: a progress line waits once, however often it changes. */
  readonly #partials = new Map<number, number>();

  constructor(rowsMax: number, charsMax: number) {
    this.#rows = new Ring(rowsMax);
    this.#charsMax = charsMax;
  }

  /** How many lines came (and gaps, and ends), those that went again included. */
  get count(): number {
    return this.#rows.next;
  }

  push(row: Row): void {
    this.#chars += charsOf(row);
    // After a gap a number may be another line's.
    if (row.kind === "gap") this.#partials.clear();
    const { line: n, partial = false } = row.kind === "line" ? row.line : {};
    const place = n === undefined ? undefined : this.#partials.get(n);
    const before = place === undefined ? undefined : this.#rows.get(place);
    if (place !== undefined && before) {
      this.#chars -= charsOf(before);
      this.#rows.set(place, row);
      if (!partial) this.#partials.delete(n as number);
    } else {
      if (this.#rows.isFull) this.#shift();
      const at = this.#rows.push(row);
      if (partial && n !== undefined) this.#partials.set(n, at);
    }
    while (this.#chars > this.#charsMax && this.#rows.size > 1) this.#shift();
  }

  /** What there is to say of those that went, and those that are there, the oldest first. Nothing waits then. */
  *take(): Generator<Row> {
    const { lines, gaps } = this.#skipped;
    if (lines || gaps) yield { kind: "skipped", lines, gaps };
    for (let row = this.#rows.shift(); row; row = this.#rows.shift()) yield row;
  }

  /** Whether a new epoch is among the gaps that went. */
  get hasSkippedEpoch(): boolean {
    return this.#epochs > 0;
  }

  #shift(): void {
    const row = this.#rows.shift();
    if (!row) return;
    this.#chars -= charsOf(row);
    if (row.kind === "line" && row.line.partial) this.#partials.delete(row.line.line ?? 0);
    if (row.kind === "gap") this.#skipped.gaps++;
    else this.#skipped.lines++;
    if (row.kind === "gap" && row.gap.reason === "epoch") this.#epochs++;
  }
}
