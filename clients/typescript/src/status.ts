import type { ConnectionState, ConnectionStatus } from "./types.ts";

/** The status before anything began, and on a server: a constant, so that hydration finds what the server wrote. */
export const IDLE: ConnectionStatus = { state: "idle", failures: 0, error: null, reason: null };

/** Whether events arrive, by stream or by polling. */
export function isConnected(state: ConnectionState): boolean {
  return state === "open" || state === "polling";
}
