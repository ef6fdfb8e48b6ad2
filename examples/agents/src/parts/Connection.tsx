import type { ConnectionState } from "watertight/react";
import type { Watched } from "../watch/useWatch.ts";

/** Every state of a connection, in words. */
const WORDS: Readonly<Record<ConnectionState, string>> = {
  idle: "Asking where to watch",
  connecting: "Connecting",
  open: "Live",
  polling: "Live, by long-polling",
  reconnecting: "Reconnecting, from where it was",
  closed: "Closed",
  error: "Failed",
};

interface ConnectionProps extends Pick<Watched<unknown>, "connection" | "trouble" | "refusal" | "connect"> {
  name: string;
  /** Nothing more will come, so there is nothing to connect to. */
  isOver?: boolean;
}

/** The state of a connection, and what is wrong with it. */
export function Connection({ name, connection, trouble, refusal, connect, isOver = false }: ConnectionProps) {
  const state = refusal ? "refused" : isOver ? "over" : connection;
  const words = refusal ? refusal.message : isOver ? "Over: nothing more will come." : WORDS[connection];
  return (
    <p role="status" className="state" data-testid={`${name}-state`} data-state={state}>
      <span className="dot" aria-hidden="true" />
      <strong data-testid={`${name}-words`}>{words}</strong>
      {!refusal && !isOver && connection !== "open" && <span className="hint">{trouble}</span>}
      {!refusal && connection === "error" && (
        <button onClick={connect} data-testid={`${name}-connect`}>
          Try again
        </button>
      )}
    </p>
  );
}
