import type { ConnectionState, ConnectionStatus } from "watertight";
import { oneLine } from "../model/text.ts";

const STATES: Readonly<Record<ConnectionState, string>> = {
  idle: "not connected",
  connecting: "connecting",
  open: "live",
  polling: "live, by long-polling",
  reconnecting: "connection lost; it comes back by itself",
  closed: "closed",
  error: "failed",
};

/** How a stream is, in words. */
export function State({ of: { state, error, reason } }: { of: ConnectionStatus }) {
  const why = state === "closed" ? reason : (state === "reconnecting" || state === "error") && error?.message;
  return (
    <p className="state" role="status" data-testid="state" data-state={state}>
      <span className="dot" aria-hidden="true" />
      {STATES[state]}
      {why && `: ${oneLine(why)}`}
    </p>
  );
}
