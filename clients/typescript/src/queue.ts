import { listen } from "./environment.ts";
import type { SSEError } from "./errors.ts";
import { HIGH_WATER_MARK } from "./limits.ts";
import type { EventsOptions, SSEEvent, Unsubscribe } from "./types.ts";

/** A loop over events. `return` gives everything back; calling it twice, or after the end, does nothing. */
export interface EventIterator extends AsyncIterableIterator<SSEEvent, undefined> {
  return(): Promise<IteratorReturnResult<undefined>>;
  [Symbol.asyncIterator](): EventIterator;
}

/**
 * The bounded queue behind one loop over `events()`. What does not fit becomes a gap, in its place: never a quiet skip.
 *
 * @param subscribe begins the flow of events and is told of its end; returns what stops it
 */
export function createQueue(
  { signal, highWaterMark = HIGH_WATER_MARK }: EventsOptions,
  subscribe: (push: (event: SSEEvent) => void, end: (error?: SSEError) => void) => Unsubscribe,
): EventIterator {
  const events: SSEEvent[] = [];
  const waiting: (() => void)[] = [];
  let over = false;
  let failure: SSEError | undefined;
  /** Dropped from the front: told before anything else. */
  let missed = 0;
  let from: string | null = null;
  /** The id of the last event that went, given or dropped. */
  let last: string | null = null;

  const shift = (): SSEEvent | undefined => {
    const event = events.shift();
    last = event?.id ?? last;
    return event;
  };

  const take = (): SSEEvent | undefined => {
    if (!missed) return shift();
    const data = { from, to: last, missed, reason: "overflow" };
    missed = 0;
    return { type: "gap", data, text: JSON.stringify(data), id: last ?? "" };
  };

  const end = (error?: SSEError): void => {
    if (over) return;
    over = true;
    failure = error;
    off();
    unlisten();
    for (const wake of waiting.splice(0)) wake();
  };

  const iterator: EventIterator = {
    async next() {
      let value = take();
      while (!value && !over) {
        await new Promise<void>((wake) => waiting.push(wake));
        value = take();
      }
      if (value) return { done: false, value };
      const error = failure;
      failure = undefined;
      if (error) throw error;
      return { done: true, value };
    },
    async return() {
      end();
      events.length = missed = 0;
      failure = undefined;
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => iterator,
  };

  const off = subscribe((event) => {
    if (events.length >= highWaterMark) {
      if (!missed++) from = last;
      shift();
    }
    events.push(event);
    waiting.shift()?.();
  }, end);
  const unlisten = listen(signal, "abort", iterator.return);
  if (signal?.aborted) end();
  return iterator;
}
