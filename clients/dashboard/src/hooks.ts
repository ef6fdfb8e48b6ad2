import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { SSEError } from "watertight";
import { useAccess } from "./access.tsx";
import { CallError } from "./call.ts";
import { routeOf, type Route } from "./model/route.ts";

/** Where one is, by the address. */
export function useRoute(): Route {
  const hash = useSyncExternalStore(onHash, () => location.hash);
  return routeOf(hash);
}

function onHash(onChange: () => void): () => void {
  addEventListener("hashchange", onChange);
  return () => removeEventListener("hashchange", onChange);
}

/** Whether somebody can see the page. */
export function useIsVisible(): boolean {
  return useSyncExternalStore(onVisibility, () => !document.hidden);
}

function onVisibility(onChange: () => void): () => void {
  document.addEventListener("visibilitychange", onChange);
  return () => document.removeEventListener("visibilitychange", onChange);
}

/** Changes when the colours of the page do. */
export function useIsDark(): boolean {
  return useSyncExternalStore(onDark, () => dark.matches);
}

const dark = matchMedia("(prefers-color-scheme: dark)");

function onDark(onChange: () => void): () => void {
  dark.addEventListener("change", onChange);
  return () => dark.removeEventListener("change", onChange);
}

/** A value once it has not changed for a moment, so that each letter that is typed is not a question. */
export function useSettled<T>(value: T, ms = 300): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

export interface Asked<T> {
  /** The last answer, also while another one is on its way. */
  readonly data: T | null;
  readonly error: CallError | null;
  readonly isBusy: boolean;
  /** Asks again, at once. */
  again(): void;
}

/** Longest pause between two questions, however often the hub refuses, milliseconds. */
const PAUSE_MAX = 30_000;

/** Asks the hub, and again some time after each answer, refusal or silence; not while nobody looks. `null` asks nothing. */
export function useAsk<T>(path: string | null, every: number): Asked<T> {
  const { call, identity } = useAccess();
  const isVisible = useIsVisible();
  const [state, setState] = useState<{ data: T | null; error: CallError | null; of: string | null }>({ data: null, error: null, of: null });
  const [turn, setTurn] = useState(0);
  const latest = useRef(call);
  useEffect(() => {
    latest.current = call;
  });
  useEffect(() => {
    if (path === null || !isVisible) return undefined;
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      let pause = every;
      try {
        const data = (await latest.current(path, { signal: ended.signal })) as T;
        if (ended.signal.aborted) return;
        setState({ data, error: null, of: path });
      } catch (thrown) {
        if (ended.signal.aborted) return;
        const error = thrown instanceof CallError ? thrown : new CallError(0, "", String(thrown));
        setState(({ data, of }) => ({ data: of === path ? data : null, error, of: path }));
        // Refused until somebody signs in, or asks for something else.
        if (error.status === 400 || error.status === 401) return;
        // What is refused otherwise may be granted by somebody else meanwhile.
        const isRefused = error.status > 401 && error.status < 500 && error.status !== 429 && error.code !== "SESSION_NOT_FOUND";
        pause = isRefused ? PAUSE_MAX : Math.min(Math.max(every, (error.retryAfter ?? 0) * 1_000), PAUSE_MAX);
      }
      timer = setTimeout(() => void ask(), pause);
    };
    void ask();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [path, every, isVisible, identity, turn]);
  const again = useCallback(() => setTurn((turn) => turn + 1), []);
  return { data: state.data, error: state.error, isBusy: path !== null && state.of !== path, again };
}

/** Says so if a stream was refused for want of a token. */
export function useSignInFor(error: SSEError | null): void {
  const { ask } = useAccess();
  useEffect(() => {
    if (error?.status === 401) ask();
  }, [error, ask]);
}

export interface Doing {
  /** What came of it, in words. */
  readonly words: string;
  readonly isBad: boolean;
  readonly isBusy: boolean;
  /** Does one thing at a time, and says what came of it. */
  run(what: (signal: AbortSignal) => Promise<string>): void;
}

/** Something that a button does. It ends with the component. */
export function useDoing(say: (error: unknown) => string): Doing {
  const [state, setState] = useState({ words: "", isBad: false, isBusy: false });
  const current = useRef<AbortController | null>(null);
  useEffect(() => () => current.current?.abort(), []);
  const run = (what: (signal: AbortSignal) => Promise<string>): void => {
    current.current?.abort();
    const ended = new AbortController();
    current.current = ended;
    setState({ words: "", isBad: false, isBusy: true });
    const settle = (words: string, isBad: boolean): void => {
      if (!ended.signal.aborted) setState({ words, isBad, isBusy: false });
    };
    what(ended.signal).then(
      (words) => settle(words, false),
      (error: unknown) => settle(say(error), true),
    );
  };
  return { ...state, run };
}
