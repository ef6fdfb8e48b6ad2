/** The last so many of a sequence. Each item has its number for ever; what is pushed out is gone. */
export class Ring<T> {
  /** The number of the oldest item that is kept. */
  first = 0;
  /** The number that the next item gets. */
  next = 0;
  readonly #capacity: number;
  readonly #items: (T | undefined)[] = [];

  constructor(capacity: number) {
    this.#capacity = Math.max(1, Math.floor(capacity));
  }

  get size(): number {
    return this.next - this.first;
  }

  get isFull(): boolean {
    return this.size >= this.#capacity;
  }

  get(n: number): T | undefined {
    return n >= this.first && n < this.next ? this.#items[n % this.#capacity] : undefined;
  }

  /** Replaces an item that is still there. */
  set(n: number, item: T): void {
    if (n >= this.first && n < this.next) this.#items[n % this.#capacity] = item;
  }

  /** Appends; its caller has made room. @returns the number of the item */
  push(item: T): number {
    if (this.isFull) this.shift();
    this.#items[this.next % this.#capacity] = item;
    return this.next++;
  }

  /** Takes the oldest one out. */
  shift(): T | undefined {
    const item = this.get(this.first);
    if (!this.size) return undefined;
    this.#items[this.first % this.#capacity] = undefined;
    this.first++;
    return item;
  }
}
