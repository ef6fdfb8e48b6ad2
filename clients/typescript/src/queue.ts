import { onAbort } from "./environment.ts";
import { SSEError } from "./errors.ts";
import { HIGH_WATER_MARK } from "./limits.ts";
import type { EventsOptions, SSEEvent, Unsubscribe } from "./types.ts";

/** A loop over events. `return` gives everything back; calling it twice, or after the end, does nothing. */
export interface EventIterator {
  /** The next event, as soon as there is one. @throws SSEError if the client failed for good. */
  next(): Promise<IteratorResult<SSEEvent, undefined>>;
  /** Ends the loop, and takes its handlers back. */
  return(): Promise<IteratorReturnResult<undefined>>;
  /** Itself: it is given to `for await`. */
  [Symbol.asyncIterator](): EventIterator;
}

/**
 * The bounded queue behind one loop over `events()`. What does not fit becomes a gap, in its place: never a quiet skip.
 *
 * @param subscribe begins the flow of events and is told of its end; returns what stops it
 */
export function createQueue(
  { signal, highWaterMark = HIGH_WATER_MARK }: EventsOptions,
  subscribe: (push: (event: SSEEvent) => void, end: (error?: SSEError) => void) => Unsubscribe[],
): EventIterator {
  let controller!: ReadableStreamDefaultController<SSEEvent | SSEError>;
  /** What is missed since the last event that had room. */
  let gap: { from: string; to: string; missed: number; reason: string } | undefined;

  const tell = (): void => {
    if (gap) controller.enqueue({ type: "gap", data: gap, text: JSON.stringify(gap), id: gap.to });
    gap = undefined;
  };

  const room = (): boolean => controller.desiredSize! > 0;

  const stop = (): void => offs.forEach((off) => off());

  const offs = subscribe(
    (event) => {
      // The hole before the event that comes after it, even if nobody has read on yet.
      if (room()) tell();
      if (room()) controller.enqueue(event);
      else gap = { from: event.id, ...gap, to: event.id, missed: (gap?.missed ?? 0) + 1, reason: "overflow" };
    },
    (error) => {
      stop();
      tell();
      if (error) controller.enqueue(error);
      controller.close();
    },
  );
  const source = { start: (c: typeof controller) => void (controller = c), pull: tell, cancel: stop };
  const reader = new ReadableStream(source, { highWaterMark: Math.max(highWaterMark, 1) }).getReader();
  const iterator: EventIterator = {
    async next() {
      const result = await reader.read();
      if (result.value instanceof SSEError) throw result.value;
      return result as IteratorResult<SSEEvent, undefined>;
    },
    async return() {
      await reader.cancel();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  offs.push(onAbort(signal, iterator.return));
  return iterator;
}
