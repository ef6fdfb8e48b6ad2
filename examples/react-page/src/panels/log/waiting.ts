import { Ring } from "./ring.ts";
import { charsOf, type Row } from "./rows.ts";

/** What comes during a pause, in bounds: beyond them the oldest goes, and is counted. */
export class Waiting {
  readonly #rows: Ring<Row>;
  readonly #charsMax: number;
  #chars = 0;
  #skipped = { lines: 0, gaps: 0 };
  #epochs = 0;

  constructor(rowsMax: number, charsMax: number) {
    this.#rows = new Ring(rowsMax);
    this.#charsMax = charsMax;
  }

  /** How many came, those that went again included. */
  get count(): number {
    return this.#rows.next;
  }

  push(row: Row): void {
    if (this.#rows.isFull) this.#shift();
    this.#rows.push(row);
    this.#chars += charsOf(row);
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
    if (row.kind === "gap") this.#skipped.gaps++;
    else this.#skipped.lines++;
    if (row.kind === "gap" && row.gap.reason === "epoch") this.#epochs++;
  }
}
