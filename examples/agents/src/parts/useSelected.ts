import { useSyncExternalStore } from "react";

/** The run that the address names: `#/runs/ID`; empty for none. So a reload, a bookmark and a second tab show the same. */
export function useSelected(): string {
  return useSyncExternalStore(onHash, () => decodeURIComponent(/^#\/runs\/([^/]+)$/.exec(location.hash)?.[1] ?? ""));
}

function onHash(onChange: () => void): () => void {
  addEventListener("hashchange", onChange);
  return () => removeEventListener("hashchange", onChange);
}

export const hrefOf = (run: string): string => `#/runs/${encodeURIComponent(run)}`;
