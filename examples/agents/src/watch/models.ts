import { isListStale, NO_LIST, withListGap, withListSnapshot, withRows, type ListView } from "../model/list.ts";
import {
  isRunOver,
  isRunStale,
  NO_RUN,
  toStep,
  withRunGap,
  withRunSnapshot,
  withStep,
  type Run,
  type RunView,
  type Summary,
} from "../model/run.ts";
import type { Model } from "./useWatch.ts";

export const RUN: Model<RunView, Run> = {
  empty: NO_RUN,
  snapshot: withRunSnapshot,
  event(view, type, data) {
    const step = toStep(type, data);
    return step ? withStep(view, step) : view;
  },
  gap: withRunGap,
  isStale: isRunStale,
  isOver: isRunOver,
  gaps: ({ gaps }) => gaps,
};

export const LIST: Model<ListView, readonly Summary[]> = {
  empty: NO_LIST,
  snapshot: withListSnapshot,
  event: (view, type, data) => (type === "run" ? withRows(view, [data as Summary]) : view),
  gap: withListGap,
  isStale: isListStale,
  // A user may always start another one.
  isOver: () => false,
  gaps: ({ gaps }) => gaps,
};
