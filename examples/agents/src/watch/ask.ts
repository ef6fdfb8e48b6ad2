import { ask, canRetry, Refusal, type Watch } from "../api.ts";

/** The longest pause between two questions, milliseconds. */
const PAUSE_MAX = 5_000;
const PAUSE_MIN = 100;

/** How long to wait before the next question: anything up to a ceiling that doubles, and never less than was asked for. */
export function pauseAfter(failures: number, thrown: unknown, random: () => number = Math.random): number {
  const ceiling = Math.min(PAUSE_MAX, PAUSE_MIN * 2 ** failures);
  const atLeast = thrown instanceof Refusal ? (thrown.retryAfter ?? 0) : 0;
  return atLeast + PAUSE_MIN + random() * ceiling;
}

/**
 * Asks where to watch until there is an answer.
 *
 * @param trouble told of each try that failed and will be repeated
 * @throws Refusal if asking again cannot help; the signal's reason once that is aborted
 */
export async function askWhere<Snapshot>(path: string, signal: AbortSignal, trouble: (thrown: unknown) => void): Promise<Watch<Snapshot>> {
  for (let failures = 1; ; failures++) {
    try {
      return await ask<Watch<Snapshot>>(path, { signal });
    } catch (thrown) {
      signal.throwIfAborted();
      if (!canRetry(thrown)) throw thrown;
      trouble(thrown);
      await pause(pauseAfter(failures, thrown), signal);
    }
  }
}

/** Resolves after so many milliseconds, or at once when the network is back. Leaves no timer and no listener. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const end = (settle: () => void) => () => {
      clearTimeout(timer);
      over.abort();
      settle();
    };
    const timer = setTimeout(end(resolve), milliseconds);
    addEventListener("online", end(resolve), { signal: over.signal });
    signal.addEventListener("abort", end(() => reject(signal.reason)), { signal: over.signal });
  });
}
