import type { ConnectionState } from "./types.ts";
import type { SSEError } from "./errors.ts";

/** An event on its way from one tab to the others, not parsed yet. */
export interface SharedEvent {
  type: string;
  text: string;
  id: string;
}

/** What a client lets its tabs' share do. */
export interface ShareMember {
  /** What is shared: members with the same key share one connection. */
  readonly key: string;
  /** The last event id that this client has delivered. */
  cursor(): string;
  /** This client is the one that connects now, from its own cursor. */
  lead(): void;
  /** Another client connected; this one follows. */
  follow(): void;
  /** An event that the leader got. */
  deliver(event: SharedEvent): void;
  /** What became of the leader's connection. */
  status(state: ConnectionState, error: SSEError | null): void;
}

/** A client's place in a share. */
export interface ShareSeat {
  /** The leader got an event: pass it on. Followers' calls do nothing. */
  publish(event: SharedEvent, before: string): void;
  /** The leader's connection changed. */
  announce(state: ConnectionState, error: SSEError | null): void;
  /** Gives the place back, and the lead with it. */
  leave(): void;
}

/** A way for clients to share one connection. `watertight/tabs` has the one for the tabs of a browser. */
export interface Share {
  join(member: ShareMember): ShareSeat;
}
