import { useSyncExternalStore } from "react";

export const VIEWS = ["agents", "metrics", "logs"] as const;
export type View = (typeof VIEWS)[number];

/** Which view the address names: `#metrics`. */
export function useView(): View {
  return useSyncExternalStore(onChange, current);
}

function current(): View {
  const name = location.hash.slice(1);
  return VIEWS.find((view) => view === name) ?? "agents";
}

function onChange(changed: () => void): () => void {
  addEventListener("hashchange", changed);
  return () => removeEventListener("hashchange", changed);
}
