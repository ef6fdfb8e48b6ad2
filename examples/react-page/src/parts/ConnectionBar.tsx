import type { ConnectionState, SSEError } from "watertight/react";

/** What to call a state, and what to say of it where the connection itself gives no reason. */
const WORDS: Record<ConnectionState, readonly [name: string, reason: string]> = {
  idle: ["Disconnected", "Connect goes on where it was."],
  connecting: ["Connecting", "The first attempt."],
  open: ["Live", "Events arrive as they are published."],
  polling: ["Live, by long-polling", "No stream gets through at the moment; it is tried again from time to time."],
  reconnecting: ["Reconnecting", "Goes on where it was, by itself."],
  closed: ["Closed", "Nothing more will come."],
  error: ["Failed", "This does not mend itself."],
};

interface ConnectionBarProps {
  state: ConnectionState;
  error: SSEError | null;
  failures: number;
  onConnect: () => void;
  onDisconnect?: () => void;
  onReconnect?: () => void;
}

/** The state of the connection, why it is so, and what can be done about it. */
export function ConnectionBar({ state, error, failures, onConnect, onDisconnect, onReconnect }: ConnectionBarProps) {
  const [name, because] = WORDS[state];
  const isOver = state === "idle" || state === "closed" || state === "error";
  const count = failures === 1 ? " after 1 failure" : failures > 1 ? ` after ${failures} failures` : "";
  return (
    <section className="card bar" aria-label="Connection">
      {/* Announced when it changes. */}
      <div role="status" aria-live="polite" className="state" data-testid="state" data-state={state} data-failures={failures}>
        <span className="dot" aria-hidden="true" />
        <strong>
          {name}
          {state === "reconnecting" && count}
        </strong>
        <span className="reason" data-testid="reason" title={error?.message}>
          {error?.message ?? because}
        </span>
      </div>
      <div className="buttons">
        <Action name="connect" label="Connect" does={isOver ? onConnect : undefined} />
        <Action name="disconnect" label="Disconnect" does={isOver ? undefined : onDisconnect} />
        <Action name="reconnect" label="Reconnect" does={isOver ? undefined : onReconnect} />
      </div>
    </section>
  );
}

/** A button that can be out of use. It is not `disabled`, which would take the focus away from who has just pressed it. */
export function Action({ name, label, does }: { name: string; label: string; does?: (() => void) | undefined }) {
  return (
    <button type="button" data-testid={name} aria-disabled={!does} onClick={does}>
      {label}
    </button>
  );
}
