import type { Time } from "./environment.ts";
import { SSEError } from "./errors.ts";
import { RESUME_GRACE, SILENCE_MAX } from "./limits.ts";

/** Watches one connection for silence, with one timer. Every byte begins it anew, which costs one assignment. */
export interface SilenceWatch {
  /** From now on silence of this length, milliseconds, is the end; with `error`, if it is given. */
  allow(milliseconds: number, error?: SSEError): void;
  /** Something came. */
  reset(): void;
  /** What is silent for more than half of its time has to prove soon that it lives. */
  doubt(): void;
  clear(): void;
}

/** @param end called once it was silent for too long */
export function watchSilence(time: Time, end: (error: SSEError) => void): SilenceWatch {
  let max = 0;
  let since = 0;
  let failure: SSEError | undefined;
  const silent = (): number => time.now() - since;
  const timer = time.createTimer(() => {
    if (silent() < max) watch();
    else end(failure ?? new SSEError("timeout", `silent ${max} ms`));
  });
  // In thirds, so that a machine that slept is noticed soon after it woke.
  const watch = (): void => timer.set(Math.min(max - silent(), max / 3 + 1));
  const reset = (): void => {
    since = time.now();
  };
  return {
    reset,
    clear: timer.clear,
    allow(milliseconds, error) {
      max = Math.min(milliseconds, SILENCE_MAX);
      failure = error;
      reset();
      watch();
    },
    doubt() {
      if (silent() < max / 2) return;
      since -= Math.max(max - RESUME_GRACE - silent(), 0);
      watch();
    },
  };
}
