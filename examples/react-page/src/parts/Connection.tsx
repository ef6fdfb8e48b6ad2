import { useSSE } from "../sse.ts";
import { ConnectionBar } from "./ConnectionBar.tsx";

interface ConnectionProps {
  enabled: boolean;
  onEnabled: (enabled: boolean) => void;
}

/** The state of the page's connection. */
export function Connection({ enabled, onEnabled }: ConnectionProps) {
  const { connectionState, connectionError, failures, connect, reconnect } = useSSE();
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
