import { listen } from "./environment.ts";
import { SSEError } from "./errors.ts";
import { HIGH_WATER_MARK } from "./limits.ts";
import type { EventsOptions, Gap, SSEEvent } from "./types.ts";

/** The bounded queue behind one `events()` loop. What does not fit becomes a gap, in its place: never a quiet skip. */
export class EventQueue implements AsyncIterableIterator<SSEEvent> {
  #events: SSEEvent[] = [];
  /** Dropped from the front, told before anything else. */
  #missed = 0;
  #missedFrom: string | null = null;
  #before: string | null = null;
  #waiting: { resolve(result: IteratorResult<SSEEvent>): void; reject(error: SSEError): void }[] = [];
  #over = false;
  #error: SSEError | undefined;
  #max: number;
  #strict: boolean;
  #ended: (queue: EventQueue) => void;
  #unlisten: () => void;

  /** @param ended called once, when the loop is over for whatever reason. */
  constructor(options: EventsOptions, ended: (queue: EventQueue) => void) {
    this.#max = Math.max(1, options.highWaterMark ?? HIGH_WATER_MARK);
    this.#strict = options.overflow === "error";
    this.#ended = ended;
    this.#unlisten = listen(options.signal, "abort", () => void this.return());
    if (options.signal?.aborted) void this.return();
  }

  push(event: SSEEvent): void {
    if (this.#over) return;
    const waiting = this.#waiting.shift();
    if (waiting) {
      this.#before = event.id;
      return waiting.resolve({ done: false, value: event });
    }
    if (this.#events.length >= this.#max) {
      if (this.#strict) {
        this.#events.length = 0;
        return this.end(new SSEError("limit", `an events() loop is more than ${this.#max} events behind`));
      }
      const dropped = this.#events.shift();
      if (!this.#missed++) this.#missedFrom = this.#before;
      this.#before = dropped?.id ?? null;
    }
    this.#events.push(event);
  }

  /** What is queued is still given; then the loop is over, or throws. */
  end(error?: SSEError): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#unlisten();
    this.#ended(this);
    for (const waiting of this.#waiting.splice(0)) {
      const failure = this.#take();
      if (failure) waiting.reject(failure);
      else waiting.resolve({ done: true, value: undefined });
    }
  }

  next(): Promise<IteratorResult<SSEEvent>> {
    if (this.#missed) return Promise.resolve({ done: false, value: this.#gap() });
    const event = this.#events.shift();
    if (event) {
      this.#before = event.id;
      return Promise.resolve({ done: false, value: event });
    }
    if (!this.#over) return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    const failure = this.#take();
    return failure ? Promise.reject(failure) : Promise.resolve({ done: true, value: undefined });
  }

  return(): Promise<IteratorResult<SSEEvent>> {
    this.#events.length = this.#missed = 0;
    this.end();
    this.#error = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The failure is thrown once; after it the loop is simply over. */
  #take(): SSEError | undefined {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  #gap(): SSEEvent<Gap> {
    const data: Gap = { from: this.#missedFrom, to: this.#before, missed: this.#missed, reason: "overflow" };
    this.#missed = 0;
    return { type: "gap", data, text: JSON.stringify(data), id: this.#before ?? "" };
  }
}
