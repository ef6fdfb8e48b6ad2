import type { SSEEvent } from "watertight";
import { Numbers } from "./numbers.ts";
import { readEnd, readGap, readLine, type LogEnd, type LogLine } from "./record.ts";
import { Ring } from "./ring.ts";
import { charsOf, type Row } from "./rows.ts";
import { Waiting } from "./waiting.ts";

/** What a log panel may hold. */
export interface LogLimits {
  /** Rows; the oldest go. A browser cannot scroll through more than about a million. */
  readonly linesMax: number;
  /** Text of all rows, UTF-16 units. */
  readonly charsMax: number;
  /** Rows that come during a pause. */
  readonly waitingMax: number;
}

export const LOG_LIMITS: LogLimits = { linesMax: 100_000, charsMax: 16 * 1024 * 1024, waitingMax: 20_000 };

/** The log as it came, in bounds: what is let go, dropped or skipped is counted. Knows nothing of the page. */
export class LogStore {
  /** Lines that came, each counted once. */
  received = 0;
  /** Rows that were let go because there were too many. */
  dropped = 0;
  /** Lines that came again. */
  repeated = 0;
  /** The end, from the moment on when it comes, paused or not. */
  end: LogEnd | null = null;
  /** The rows that are gaps, the oldest first. */
  readonly gaps: number[] = [];
  /** Told of each row that is replaced. */
  onReplace: (n: number) => void = () => {};

  readonly #limits: LogLimits;
  readonly #rows: Ring<Row>;
  readonly #numbers = new Numbers();
  #chars = 0;
  #waiting: Waiting | null = null;
  /** The last gap that began a new epoch, while the lines after it have not shown yet whose they are. */
  #epoch: { readonly row: number; again: number } | null = null;

  constructor(limits: LogLimits = LOG_LIMITS) {
    this.#limits = limits;
    this.#rows = new Ring(limits.linesMax);
  }

  /** The number of the oldest row that is here; each keeps its number for ever. */
  get first(): number {
    return this.#rows.first;
  }

  /** The number that the next row gets. */
  get next(): number {
    return this.#rows.next;
  }

  get(n: number): Row | undefined {
    return this.#rows.get(n);
  }

  /** How many rows came during this pause; `null` without one. */
  get waiting(): number | null {
    return this.#waiting ? this.#waiting.count : null;
  }

  /** An event of the stream. */
  readonly take = (event: SSEEvent): void => {
    // The hub's closing events are of the connection, which shows them.
    if (event.type === "error") return;
    const row = readRow(event);
    if (row.kind === "end") this.end = row.end;
    // It was deployed again.
    else if (row.kind === "line") this.end = null;
    if (this.#waiting) this.#waiting.push(row);
    else this.#add(row);
  };

  /** What is shown stays as it is; what comes waits. */
  pause(): void {
    this.#waiting ??= new Waiting(this.#limits.waitingMax, this.#limits.charsMax);
  }

  resume(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (!waiting) return;
    if (waiting.hasSkippedEpoch) this.#epoch = { row: this.#rows.next, again: 0 };
    for (const row of waiting.take()) this.#add(row);
  }

  #add(row: Row): void {
    if (row.kind === "line") return this.#addLine(row.line);
    const n = this.#append(row);
    if (row.kind !== "gap") return;
    this.gaps.push(n);
    if (row.gap.reason === "epoch") this.#epoch = { row: n, again: 0 };
  }

  #addLine(line: LogLine): void {
    const at = this.#numbers.rowOf(line);
    const row = at === undefined ? undefined : this.#rows.get(at);
    const kept = row?.kind === "line" ? row.line : undefined;
    // In one and the same epoch the number says enough.
    if (at !== undefined && kept?.partial && at > (this.#epoch?.row ?? -1)) return this.#replace(at, line);
    const verdict = this.#numbers.judge(line, kept);
    if (verdict === "known" || verdict === "forgotten") {
      if (this.#epoch) this.#epoch.again++;
      if (at !== undefined && kept?.partial) this.#replace(at, line);
      else this.repeated++;
      return;
    }
    if (this.#epoch && line.line !== undefined) this.#settleEpoch(this.#epoch, verdict === "other", line.line);
    this.received++;
    this.#numbers.add(line, this.#append({ kind: "line", line }));
  }

  /** The first line after a new epoch that is none of those that came again. */
  #settleEpoch({ row, again }: { row: number; again: number }, isOther: boolean, line: number): void {
    this.#epoch = null;
    const gap = this.#rows.get(row);
    if (isOther) {
      this.#numbers.clear();
      this.#append({ kind: "another" });
    } else if (gap?.kind === "gap" && again && line === this.#numbers.last + 1) {
      this.#rows.set(row, { ...gap, isWhole: true });
    }
  }

  #replace(at: number, line: LogLine): void {
    const row = this.#rows.get(at);
    if (!row) return;
    const next: Row = { kind: "line", line };
    this.#chars += charsOf(next) - charsOf(row);
    this.#rows.set(at, next);
    this.onReplace(at);
    this.#makeRoom(0);
  }

  #append(row: Row): number {
    this.#chars += charsOf(row);
    this.#makeRoom(1);
    return this.#rows.push(row);
  }

  #makeRoom(more: number): void {
    const { linesMax, charsMax } = this.#limits;
    while (this.#rows.size && (this.#rows.size + more > linesMax || this.#chars > charsMax)) {
      const { first } = this.#rows;
      const row = this.#rows.shift();
      if (!row) return;
      this.#chars -= charsOf(row);
      this.dropped++;
      if (row.kind === "line") this.#numbers.forget(row.line, first);
      if (this.gaps[0] === first) this.gaps.shift();
    }
  }
}

function readRow(event: SSEEvent): Row {
  if (event.type === "gap") return { kind: "gap", gap: readGap(event), isWhole: false };
  if (event.type === "end") return { kind: "end", end: readEnd(event) };
  return { kind: "line", line: readLine(event) };
}
