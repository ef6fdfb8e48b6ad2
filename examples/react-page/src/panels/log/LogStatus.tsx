import type { UseSSEReturn } from "watertight/react";
import type { SourceState } from "../source.ts";
import type { LogStore } from "./store.ts";
import { count, sayEnd, sayState } from "./words.ts";

interface LogStatusProps {
  store: LogStore;
  sse: UseSSEReturn;
  source: SourceState;
}

/** How the log is doing: its connection, its source, its end; and what of it is not shown. */
export function LogStatus({ store, sse, source }: LogStatusProps) {
  const { connectionState, connectionError, closeReason } = sse;
  const { end } = store;
  const isOver = connectionState === "closed" || connectionState === "error" || connectionState === "idle";
  const counts = [
    count(store.received, "line"),
    store.dropped && `the oldest ${count(store.dropped, "row")} let go`,
    store.repeated && `${store.repeated.toLocaleString()} sent again, shown once`,
  ].filter(Boolean);
  return (
    <>
      {/* Announced when it changes; the counts beside it are not. */}
      <p
        className="log-state"
        role="status"
        data-testid="log-state"
        data-state={connectionState}
        data-reason={closeReason ?? undefined}
      >
        <span className="dot" aria-hidden="true" />
        <span>{sayState(connectionState, !!end)}</span>
        {connectionError && <span className="log-reason">{connectionError.message}</span>}
        {source.isWaiting && (
          <strong className="log-source" data-testid="log-source">
            {source.words}
          </strong>
        )}
        {end && (
          <strong className="log-end" data-testid="log-end" data-good={end.exitCode === 0}>
            {sayEnd(end)}
          </strong>
        )}
      </p>
      <p className="hint number log-counts" data-testid="log-counts">
        {counts.join(", ")}
      </p>
      {isOver && (
        <button type="button" data-testid="log-connect" onClick={sse.connect}>
          Connect
        </button>
      )}
    </>
  );
}
