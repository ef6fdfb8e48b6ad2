import { useEffect, useReducer, useRef, useState } from "react";
import { useSSEEvent, type UseSSEReturn } from "watertight/react";
import { call } from "./api.ts";
import { inOrder, merge, replace, type Deployment, type Rows, type Snapshot } from "./deployments.ts";
import { urlOf, useSite } from "./site.tsx";

/** Before the snapshot is asked for again, milliseconds. */
const PAUSE = 1_000;

type News = { readonly snapshot: Snapshot; readonly asked: Rows } | { readonly deployment: Deployment };

/** The user's deployments: a snapshot, and what the stream tells since. After a gap the snapshot is fetched anew. */
export function useDeployments(): { readonly deployments: readonly Deployment[]; readonly sse: UseSSEReturn; add(made: Deployment): void } {
  const site = useSite();
  const { user } = site.session;
  const [rows, tell] = useReducer(
    (rows: Rows, news: News) => ("snapshot" in news ? replace(rows, news.asked, user, news.snapshot) : merge(rows, user, [news.deployment])),
    new Map() as Rows,
  );
  /** As they are now, for what waits for an answer. */
  const known = useRef(rows);
  useEffect(() => void (known.current = rows), [rows]);
  /** Where the stream is to begin; `undefined` before the first snapshot. */
  const [start, setStart] = useState<string | null>();
  /** How often a snapshot was asked for. */
  const [asked, askAgain] = useReducer((count: number) => count + 1, 0);

  useEffect(() => {
    const leaving = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async (): Promise<void> => {
      try {
        const asked = known.current;
        const snapshot = await call<Snapshot>("GET", "/deployments", undefined, leaving.signal);
        tell({ snapshot, asked });
        setStart((start) => (start === undefined ? snapshot.lastEventId : start));
      } catch {
        // The API is away for a moment, or nobody is signed in any more, which the streams tell.
        if (!leaving.signal.aborted) timer = setTimeout(() => void load(), PAUSE);
      }
    };
    void load();
    return () => {
      clearTimeout(timer);
      leaving.abort();
    };
  }, [asked]);

  const sse = useSSEEvent(
    "*",
    (data, { type }) => {
      if (type === "deployment") tell({ deployment: data as Deployment });
      else if (type === "gap") askAgain();
    },
    {
      url: urlOf(site, `/sessions/deployments-of-${user}/events`, "/deployments/stream"),
      enabled: start !== undefined,
      // A hub that did not say where it stands gives all that it has: versions tell what is news.
      ...(start ? { lastEventId: start } : { replay: "all" }),
      enablePollingFallback: true,
    },
  );
  return { deployments: inOrder(rows, user), sse, add: (deployment) => tell({ deployment }) };
}
