import { useEffect, useReducer, useRef, useState } from "react";
import { SSEError } from "watertight";
import { useSSEEvent, type ConnectionState } from "watertight/react";
import { ask, canRetry, Refusal, type Watch } from "../api.ts";
import { askWhere, pause } from "./ask.ts";

/** What is watched, in functions without React: what snapshots, events and gaps make of a view. */
export interface Model<View, Snapshot> {
  readonly empty: View;
  /** `gaps`: how many gaps the view knew of when the snapshot was asked for. */
  snapshot(view: View, snapshot: Snapshot, gaps: number): View;
  event(view: View, type: string, data: unknown): View;
  gap(view: View): View;
  /** Whether something is missing that only a snapshot can bring. */
  isStale(view: View): boolean;
  /** Whether nothing more will come. */
  isOver(view: View): boolean;
  /** How many gaps there were. */
  gaps(view: View): number;
}

export interface Watched<View> {
  readonly view: View;
  readonly connection: ConnectionState;
  /** What goes wrong at the moment and is tried again; empty while all is well. */
  readonly trouble: string;
  /** Why there is nothing to see, and trying again would not help; `null` otherwise. */
  readonly refusal: Refusal | null;
  /** Tries anew after the connection failed for good. */
  connect(): void;
}

type Action<Snapshot> =
  | { readonly do: "snapshot"; readonly snapshot: Snapshot; readonly gaps: number }
  | { readonly do: "event"; readonly type: string; readonly data: unknown }
  | { readonly do: "gap" };

interface Place {
  readonly url: string;
  readonly lastEventId: string;
}

/** How long before its end a token is not used any more, seconds: clocks differ. */
const TOKEN_MARGIN = 2;
/** A snapshot that did not bring what is missing: how long until the next, milliseconds. */
const AGAIN_AFTER = 250;
/** The hub has ended the stream, since this browser has signed out, in another tab perhaps. */
const SIGNED_OUT = new Refusal(401, "TOKEN_REVOKED", "This browser has signed out.");

/**
 * Watches something of the service's: asks where (`path`), shows the snapshot, and goes on with the events from the hub.
 * Asks for another snapshot when one is needed, and for another token when that is over.
 *
 * @param user whose it is: nobody gets events over the connection of somebody else
 */
export function useWatch<View, Snapshot>(path: string, user: string, model: Model<View, Snapshot>): Watched<View> {
  const [view, dispatch] = useReducer((before: View, action: Action<Snapshot>): View => {
    switch (action.do) {
      case "snapshot":
        return model.snapshot(before, action.snapshot, action.gaps);
      case "event":
        return model.event(before, action.type, action.data);
      case "gap":
        return model.gap(before);
    }
  }, model.empty);
  const [place, setPlace] = useState<Place | null>(null);
  const [trouble, setTrouble] = useState("");
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [answers, countAnswer] = useReducer((count: number) => count + 1, 0);
  const token = useRef<{ text: string; until: number } | null>(null);

  const keepToken = ({ token: text, expiresAt }: Watch<Snapshot>): void => {
    token.current = text && expiresAt ? { text, until: expiresAt } : null;
  };

  const isOver = model.isOver(view);
  const gaps = model.gaps(view);
  const sse = useSSEEvent(
    "*",
    (data, { type }) => {
      // `error` is why the hub closes the stream: the client sees to that.
      if (type === "gap") dispatch({ do: "gap" });
      else if (type !== "error") dispatch({ do: "event", type, data });
    },
    {
      url: place?.url,
      lastEventId: place?.lastEventId,
      identity: user,
      enabled: place !== null && !isOver && refusal === null,
      enablePollingFallback: true,
      token: async ({ refresh, signal }) => {
        const known = token.current;
        if (known && !refresh && known.until - TOKEN_MARGIN > Date.now() / 1_000) return known.text;
        const watch = await ask<Watch<Snapshot>>(path, { signal }).catch((thrown: unknown) => {
          if (canRetry(thrown)) throw new SSEError("network", "the service gives no token at the moment");
          setRefusal(thrown as Refusal);
          throw new SSEError("auth", (thrown as Refusal).message);
        });
        keepToken(watch);
        dispatch({ do: "snapshot", snapshot: watch.snapshot, gaps });
        // It has ended meanwhile: the snapshot says so, and ends this connection.
        if (watch.token === null) throw new SSEError("network", "nothing more will come");
        return watch.token;
      },
    },
  );

  // The hub says that the session is over, but the end did not come: it is in the snapshot.
  const isEndMissing = sse.closeReason === "session-ended" && !isOver;
  const isWanted = refusal === null && (model.isStale(view) || isEndMissing);
  useEffect(() => {
    if (!isWanted) return;
    const left = new AbortController();
    const { signal } = left;
    const bring = async (): Promise<void> => {
      if (answers > 0) await pause(AGAIN_AFTER, signal);
      const watch = await askWhere<Snapshot>(path, signal, (thrown) =>
        setTrouble(thrown instanceof Refusal ? thrown.message : "The service does not answer."),
      );
      signal.throwIfAborted();
      keepToken(watch);
      setTrouble("");
      dispatch({ do: "snapshot", snapshot: watch.snapshot, gaps });
      const { url, lastEventId } = watch;
      // Where to begin counts once; from then on the client knows better where it is.
      if (url !== null) setPlace((before) => before ?? { url, lastEventId: lastEventId ?? "" });
      countAnswer();
    };
    bring().catch((thrown: unknown) => {
      if (!signal.aborted) setRefusal(thrown instanceof Refusal ? thrown : new Refusal(0, "", String(thrown)));
    });
    return () => left.abort();
    // Once for each answer that did not bring it all, and for each new gap.
  }, [path, isWanted, answers, gaps]);

  return {
    view,
    connection: sse.connectionState,
    trouble: trouble || (sse.connectionError?.message ?? ""),
    refusal: sse.connectionError?.code === SIGNED_OUT.code ? SIGNED_OUT : refusal,
    connect: sse.connect,
  };
}
