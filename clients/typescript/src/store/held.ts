import { createTime, type Timer } from "../environment.ts";
import type { SSEClient, SSEEvent, Unsubscribe } from "../index.ts";
import { lingering } from "../lingering.ts";

/** Events kept for who comes next, and how much text in all, UTF-16 units. */
const EVENTS_MAX = 1_000;
const TEXT_MAX = 1024 * 1024;

/** What comes over a connection while nobody uses it: kept for a short while, for who comes next. Bounded. */
export class Held {
  /** Where the last one who used it was. */
  readonly from: string;
  readonly events: SSEEvent[] = [];
  #length = 0;
  readonly #timer: Timer;
  readonly #off: Unsubscribe;
  #end: (() => void) | undefined;

  constructor(client: SSEClient<any>) {
    this.from = client.lastEventId;
    this.#timer = createTime(client.options.clock, false).createTimer(() => this.#end?.());
    this.#off = client.on("*", (_, event: SSEEvent) => {
      this.events.push(event);
      this.#length += event.text.length;
      if (this.events.length <= EVENTS_MAX && this.#length <= TEXT_MAX) return;
      // Rather than keep more: who comes next asks the server for all of it.
      this.events.length = 0;
      client.disconnect();
      client.lastEventId = this.from;
    });
  }

  /** @param end nobody came in time */
  wait(milliseconds: number, end: () => void): void {
    this.keep();
    this.#end = end;
    this.#timer.set(milliseconds);
    lingering.add(end);
  }

  /** Somebody came. */
  keep(): void {
    if (this.#end) lingering.delete(this.#end);
    this.#timer.clear();
  }

  /** Whoever came listens from now on, or nobody will. */
  stop(): void {
    this.keep();
    this.#off();
  }
}
