/**
 * What is open right now in this realm, over all clients. Everything that can leak is counted here when it is
 * taken and when it is given back, and in no other place; `watertight/testing` asserts that all of it is zero.
 */
export const ledger = {
  /** Clients that are connected or want to be. */
  clients: 0,
  /** Requests in flight, streams included. */
  attempts: 0,
  /** Pending timers. */
  timers: 0,
  /** Listeners on the page or on a signal. */
  listeners: 0,
  /** Handlers registered, `events()` loops included. */
  handlers: 0,
};

/** What the ledger counts. */
export type Ledger = typeof ledger;
