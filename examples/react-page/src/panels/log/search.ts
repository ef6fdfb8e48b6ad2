import { plainText } from "./ansi.ts";
import type { LogStore } from "./store.ts";

/** How many rows are searched in one go, before the page gets its turn. */
const ROWS_AT_ONCE = 20_000;

/** Finds the lines that have a text in them, as one reads them: without colours, whatever the case. Keeps up with the log. */
export class Search {
  readonly #store: LogStore;
  #pattern: RegExp | null = null;
  /** The same without `g`: one that is global remembers where it was. */
  #finder = /^/;
  /** The rows that have it, in order. */
  #found: number[] = [];
  /** All rows before this one were searched. */
  #searched = 0;
  readonly #replaced = new Set<number>();

  constructor(store: LogStore) {
    this.#store = store;
    store.onReplace = (n) => {
      if (this.#pattern && n < this.#searched) this.#replaced.add(n);
    };
  }

  /** What is looked for, for marking it; `null` for nothing. */
  get pattern(): RegExp | null {
    return this.#pattern;
  }

  get count(): number {
    return this.#found.length;
  }

  /** Whether `advance` has still to be called. */
  get isBehind(): boolean {
    return !!this.#pattern && (this.#searched < this.#store.next || this.#replaced.size > 0);
  }

  set(words: string): void {
    this.#pattern = patternOf(words);
    if (this.#pattern) this.#finder = new RegExp(this.#pattern, "iu");
    this.#found = [];
    this.#replaced.clear();
    this.#searched = this.#store.first;
  }

  /** Searches on, some rows at a time. */
  advance(rows = ROWS_AT_ONCE): void {
    const { first, next } = this.#store;
    if (!this.#pattern) return;
    if ((this.#found[0] ?? Infinity) < first) this.#found.splice(0, this.#indexOf(first));
    for (const n of this.#replaced) this.#check(n);
    this.#replaced.clear();
    this.#searched = Math.max(this.#searched, first);
    const until = Math.min(next, this.#searched + rows);
    for (; this.#searched < until; this.#searched++) if (this.#has(this.#searched)) this.#found.push(this.#searched);
  }

  /** The next row after this one that has it, or the first of all. */
  after(n: number): number | undefined {
    return this.#found[this.#indexOf(n + 1)] ?? this.#found[0];
  }

  /** The last row before this one that has it, or the last of all. */
  before(n: number): number | undefined {
    return this.#found[this.#indexOf(n) - 1] ?? this.#found.at(-1);
  }

  /** Which one of those found this row is, from 1; 0 if it is none. */
  placeOf(n: number): number {
    const index = this.#indexOf(n);
    return this.#found[index] === n ? index + 1 : 0;
  }

  #has(n: number): boolean {
    const row = this.#store.get(n);
    return row?.kind === "line" && this.#finder.test(plainText(row.line.text));
  }

  /** A row that was searched has another text now. */
  #check(n: number): void {
    const index = this.#indexOf(n);
    const was = this.#found[index] === n;
    const is = this.#has(n);
    if (was !== is) this.#found.splice(index, was ? 1 : 0, ...(is ? [n] : []));
  }

  /** Where in the list the first row is that is not before `n`. */
  #indexOf(n: number): number {
    let [low, high] = [0, this.#found.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#found[middle] as number) < n) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The words as they are, whatever they would mean as an expression. */
export function patternOf(words: string): RegExp | null {
  return words ? new RegExp(words.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu") : null;
}
