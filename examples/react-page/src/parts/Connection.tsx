import type { Journal } from "../journal/journal.ts";
import { useSSEEvent } from "../sse.ts";
import { ConnectionBar } from "./ConnectionBar.tsx";

interface ConnectionProps {
  journal: Journal;
  enabled: boolean;
  onEnabled: (enabled: boolean) => void;
}

/** Fills the journal from the stream. Two hooks, one connection. */
export function Connection({ journal, enabled, onEnabled }: ConnectionProps) {
  // Read when this is mounted: after an error it goes on where the journal ends.
  const where = { lastEventId: journal.position() };
  useSSEEvent("gap", (gap, { id }) => journal.gap(gap, id), where);
  const { connectionState, connectionError, failures, connect, reconnect } = useSSEEvent(
    "agent_network_update",
    (update, { id }) => journal.update(update, id),
    where,
  );
  return (
    <ConnectionBar
      state={connectionState}
      error={connectionError}
      failures={failures}
      // Switched off by us, or closed by the hub: the second is no matter of the switch.
      onConnect={() => (enabled ? connect() : onEnabled(true))}
      onDisconnect={() => onEnabled(false)}
      onReconnect={reconnect}
    />
  );
}
