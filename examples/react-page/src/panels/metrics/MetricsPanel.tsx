import { useId } from "react";
import type { ConnectionState, UseSSEReturn } from "watertight/react";
import type { SourceState } from "../source.ts";
import type { History } from "./history.ts";
import { ServiceCard } from "./ServiceCard.tsx";
import { useMetrics } from "./useMetrics.ts";
import { sayAge } from "./words.ts";
import "./metrics.css";

export interface MetricsPanelProps {
  /** A stream of `metrics`: `/services/metrics/stream` of a hub. */
  url: string;
  title: string;
  /** The Prometheus families to show, by name. Default: all that the hub was told to scrape. */
  families?: readonly string[];
}

/** The services of a hub: their figures, and the last ten minutes of CPU and memory. */
export function MetricsPanel({ url, title, families }: MetricsPanelProps) {
  const id = useId();
  const { history, sse, source, age, isLate, from, to } = useMetrics(url);
  return (
    <section className="metrics-panel" aria-labelledby={id} data-testid="metrics-panel">
      <header className="card metrics-head">
        <h2 id={id}>{title}</h2>
        <State sse={sse} source={source} />
        <p className="hint number" data-testid="metrics-age" data-late={isLate}>
          {age === null ? "No sample yet" : `Last sample ${sayAge(age)} ago, every ${history.last?.interval} s`}
        </p>
      </header>
      <Notes history={history} />
      {history.tracks.map((track) => (
        <ServiceCard
          key={track.service.id}
          track={track}
          aways={history.aways}
          openSince={isLate ? (history.last?.sampledAt ?? null) : null}
          from={from}
          to={to}
          families={families}
        />
      ))}
    </section>
  );
}

const STATES: Readonly<Record<ConnectionState, string>> = {
  idle: "Not connected",
  connecting: "Connecting",
  open: "Live",
  polling: "Live, by long-polling",
  reconnecting: "Reconnecting; the plots show a gap meanwhile",
  closed: "Closed",
  error: "Failed",
};

function State({ sse, source }: { sse: UseSSEReturn; source: SourceState }) {
  const { connectionState, connectionError } = sse;
  const isOver = connectionState === "closed" || connectionState === "error" || connectionState === "idle";
  return (
    <>
      <p className="metrics-state" role="status" data-testid="metrics-state" data-state={connectionState}>
        <span className="dot" aria-hidden="true" />
        <span>{STATES[connectionState]}</span>
        {connectionError && <span className="metrics-reason">{connectionError.message}</span>}
        {source.isWaiting && (
          <strong className="metrics-reason" data-testid="metrics-source">
            {source.words}
          </strong>
        )}
      </p>
      {isOver && (
        <button type="button" data-testid="metrics-connect" onClick={sse.connect}>
          Connect
        </button>
      )}
    </>
  );
}

/** What is to be known of all of it, where there is something. */
function Notes({ history: { last, unreadable, restarts } }: { history: History }) {
  const notes = [
    last && !last.services.length && "None of the hub’s services is yours to see.",
    last?.more && `${last.more} more services are not shown.`,
    unreadable && `${unreadable} events could not be read.`,
    restarts && "The hub’s clock went back: the plots began anew.",
  ].filter(Boolean);
  return notes.length ? (
    <p className="card metrics-notes" data-testid="metrics-notes">
      {notes.join(" ")}
    </p>
  ) : null;
}
