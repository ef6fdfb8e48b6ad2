import { useEffect, useId, useState, useSyncExternalStore } from "react";
import { useSSEEvent, type UseSSEReturn } from "watertight/react";
import { Search } from "./search.ts";
import { afterComment, SOURCE_UNKNOWN, type SourceState } from "../source.ts";
import { LogStore, type LogLimits } from "./store.ts";

/** A log that is watched, and everything that can be done with it. */
export interface Log {
  readonly store: LogStore;
  readonly search: Search;
  readonly source: SourceState;
  readonly sse: UseSSEReturn;
  /** Shows what was changed by hand: paused, searched. */
  changed(): void;
}

/** Follows a stream of `log`, `gap` and `end`, and renders once a frame at most, however many lines come. */
export function useLog(url: string, limits: LogLimits, tail: number | undefined): Log {
  const key = useId();
  const [{ store, search, source, frames }] = useState(() => createModel(limits));
  const sse = useSSEEvent(
    "*",
    (_, event) => {
      store.take(event);
      source.set(SOURCE_UNKNOWN);
      frames.request();
    },
    {
      url,
      // Said in any case: a provider around us may mean something else with it.
      replay: tail ?? "all",
      enablePollingFallback: true,
      onComment: (comment) => source.set(afterComment(source.get(), comment)),
      // Who joins a connection gets what comes from then on; a log begins with its first line, so it has one of its own.
      key,
      linger: 0,
    },
  );
  const { isConnected } = sse;
  // The next connection says anew what it waits for: with its first bytes, so it is forgotten when this one ends.
  useEffect(() => {
    if (!isConnected) source.set(SOURCE_UNKNOWN);
  }, [source, isConnected]);
  useSyncExternalStore(frames.subscribe, frames.version);
  return { store, search, source: source.get(), sse, changed: frames.request };
}

function createModel(limits: LogLimits) {
  const store = new LogStore(limits);
  const search = new Search(store);
  const frames = createFrames(() => {
    search.advance();
    return search.isBehind;
  });
  let state = SOURCE_UNKNOWN;
  const source = {
    get: () => state,
    set(next: SourceState): void {
      if (next === state) return;
      state = next;
      frames.request();
    },
  };
  return { store, search, source, frames };
}

/** Tells its listener once a frame that something has changed. @param prepare does what is due before; whether more is */
function createFrames(prepare: () => boolean) {
  const listeners = new Set<() => void>();
  let version = 0;
  let isDue = false;
  let frame: number | undefined;
  const schedule = (): void => {
    if (isDue && listeners.size) frame ??= requestAnimationFrame(run);
  };
  const run = (): void => {
    frame = undefined;
    isDue = prepare();
    version++;
    for (const listener of [...listeners]) listener();
    schedule();
  };
  return {
    version: () => version,
    request: (): void => {
      isDue = true;
      schedule();
    },
    subscribe: (listener: () => void) => {
      listeners.add(listener);
      schedule();
      return () => {
        listeners.delete(listener);
        if (listeners.size || frame === undefined) return;
        cancelAnimationFrame(frame);
        frame = undefined;
      };
    },
  };
}
