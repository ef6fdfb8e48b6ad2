import { useEffect, useRef, useState } from "react";
import { useSSE, useSSEState, type UseSSEReturn } from "watertight/react";
import { afterComment, SOURCE_UNKNOWN, type SourceState } from "../source.ts";
import { useSeconds } from "../useSeconds.ts";
import { addLag, ageOf, type Lags } from "./age.ts";
import { addSample, goAway, LATE_AFTER, NO_HISTORY, SPAN, type History } from "./history.ts";
import { readSample } from "./sample.ts";

/** A stream of metrics that is watched. */
export interface Metrics {
  readonly history: History;
  readonly sse: UseSSEReturn;
  readonly source: SourceState;
  /** Of the last sample, seconds; `null` before the first. */
  readonly age: number | null;
  /** Nothing came for longer than it should take. */
  readonly isLate: boolean;
  /** What the plots show, seconds by the hub's clock. */
  readonly from: number;
  readonly to: number;
}

interface State {
  readonly history: History;
  readonly lags: Lags;
}

const EMPTY: State = { history: NO_HISTORY, lags: [] };
/** While nothing comes the plots move on in steps, seconds: a move of a second could not be seen. */
const STEP = 5;

/** Follows a stream of `event: metrics`. */
export function useMetrics(url: string): Metrics {
  const [source, setSource] = useState(SOURCE_UNKNOWN);
  const onComment = (comment: string): void => setSource((state) => afterComment(state, comment));
  // Without a linger: who comes back after a moment gets the first sample at once, as everybody who comes.
  const options = { url, linger: 0, onComment };
  const wasAway = useRef(false);
  const { history, lags } = useSSEState<State>(
    "*",
    (state, data, { type }) => {
      if (type === "gap") return { ...state, history: goAway(state.history) };
      if (type !== "metrics") return state;
      setSource(SOURCE_UNKNOWN);
      const before = wasAway.current ? goAway(state.history) : state.history;
      wasAway.current = false;
      return take({ ...state, history: before }, data);
    },
    EMPTY,
    options,
  );
  const sse = useSSE(options);
  const { isConnected } = sse;
  useEffect(() => {
    if (isConnected) return;
    wasAway.current = true;
    setSource(SOURCE_UNKNOWN);
  }, [isConnected]);

  const now = useSeconds();
  const { last } = history;
  // The clock ticks once a second, and a sample may have come since.
  const age = last ? ageOf(lags, now / 1_000, last.sampledAt) : null;
  const isOverdue = !!last && age !== null && age > LATE_AFTER * last.interval;
  const isLate = isOverdue || (!!last && !isConnected);
  const to = (last?.sampledAt ?? 0) + (isLate ? Math.floor((age ?? 0) / STEP) * STEP : 0);
  return { history, sse, source, age, isLate, from: to - SPAN, to };
}

function take({ history, lags }: State, data: unknown): State {
  const sample = readSample(data);
  const next = addSample(history, sample);
  // A hub whose clock went back is another clock.
  const known = next.restarts === history.restarts ? lags : [];
  return { history: next, lags: sample ? addLag(known, Date.now() / 1_000, sample.sampledAt) : known };
}
