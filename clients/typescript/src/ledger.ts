/** What the ledger counts. */
export interface Ledger {
  /** Clients that are connected or want to be. */
  clients: number;
  /** Requests in flight, streams included. */
  attempts: number;
  /** Pending timers. */
  timers: number;
  /** Listeners on the page or on a signal. */
  listeners: number;
  /** Handlers registered, `events()` loops included. */
  handlers: number;
}

/**
 * What is open right now in this realm, over all clients. Everything that can leak is counted here when it is
 * taken and when it is given back, and in no other place; `watertight/testing` asserts that all of it is zero.
 */
export const ledger: Ledger = { clients: 0, attempts: 0, timers: 0, listeners: 0, handlers: 0 };
