import { useEffect, useState, useSyncExternalStore } from "react";
import { session } from "../sse.ts";

export { useSeconds } from "../panels/useSeconds.ts";

const narrow = matchMedia("(max-width: 560px)");

/** Whether the screen is a small one. */
export function useIsNarrow(): boolean {
  return useSyncExternalStore(onNarrow, () => narrow.matches);
}

function onNarrow(onChange: () => void): () => void {
  narrow.addEventListener("change", onChange);
  return () => narrow.removeEventListener("change", onChange);
}

/** How often the hub is asked, milliseconds. */
const ASK_EVERY = 2_000;

/** How many streams of the session the hub has, by its own account; `null` while it does not say. */
export function useReaders(): number | null {
  const [readers, setReaders] = useState<number | null>(null);
  useEffect(() => {
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const ask = async (): Promise<void> => {
      const told = await askReaders(ended.signal).catch(() => null);
      if (ended.signal.aborted) return;
      setReaders(told);
      timer = setTimeout(() => void ask(), ASK_EVERY);
    };
    void ask();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, []);
  return readers;
}

async function askReaders(signal: AbortSignal): Promise<number | null> {
  const answer = await fetch(`/hub/sessions/${encodeURIComponent(session)}`, { signal, cache: "no-store" });
  if (!answer.ok) return null;
  const { subscribers } = (await answer.json()) as { subscribers: number };
  return subscribers;
}
