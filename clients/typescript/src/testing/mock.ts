import { SSEClient, type CloseReason, type ConnectionState, type SSEError } from "../index.ts";
import type { UseSSEReturn } from "../react/types.ts";
import type { StreamOptions } from "../store/options.ts";
import { createClock, type ManualClock } from "./clock.ts";
import { createMemoryHub, type MemoryHub, type MemoryHubOptions } from "./hub.ts";
import { expectNothingLeft, since, takeLedger } from "./leaks.ts";
import { createPage, type FakePage } from "./page.ts";
import { settle } from "./settle.ts";

/** Settings of {@link createMockSSE}. */
export interface MockSSEOptions extends Omit<MemoryHubOptions, "clock"> {
  /** The session of components that name none themselves. Default `test`. */
  sessionId?: string | undefined;
}

/**
 * A stream for the tests of an application: a hub in memory, a clock that stands still, a page that does what it is told.
 * The clients and hooks that use it are the real ones.
 *
 * What returns a promise resolves when everything that follows from it has happened; with React, await it inside `act`.
 */
export interface MockSSE extends UseSSEReturn<any> {
  /** For `SSEProvider`, `useSSE` or `new SSEClient`. */
  readonly options: StreamOptions<any> & { readonly sessionId: string };
  /** For all that this interface has no word for. */
  readonly hub: MemoryHub;
  readonly clock: ManualClock;
  readonly page: FakePage;
  /** What the connections look like from the hub: `error` once the last failure was final. */
  readonly state: ConnectionState;
  /** How many requests are open: streams and waiting long-polls. */
  readonly connections: number;
  /** How many requests there were. */
  readonly requests: number;
  /** Everything that `onError` of `options` was told; what handlers threw is reported all the same. */
  readonly errors: readonly SSEError[];

  /** Waits until somebody is connected. @throws Error if nobody tries. */
  open(): Promise<void>;
  /**
   * Publishes an event and waits until it was handled. `data` is any JSON value.
   *
   * @param sessionId Default: every session that was asked for.
   * @throws Error if nobody is connected: the event would be missed. Use `hub.publish` where that is the point.
   */
  emit(type: string, data?: unknown, sessionId?: string): Promise<void>;
  /**
   * Breaks all connections and fails the next attempt of each: with a status (default 403), or an error. What cannot be
   * mended ends in state `error`; with the rest (408, 429, 5xx, an `Error`) all are reconnecting afterwards.
   */
  fail(what?: number | Error): Promise<void>;
  /** Breaks all connections. Their clients are reconnecting afterwards: time stands still. */
  drop(): Promise<void>;
  /** Lets time pass until as many are connected as were before the last fault. @throws Error if that does not happen. */
  reconnect(): Promise<void>;
  /** The hub sends its closing event, with a code of the protocol, and ends the stream. Default `SHUTTING_DOWN`. */
  closingEvent(code?: string): Promise<void>;
  /**
   * Asserts that nothing is left of what was begun since this mock was made: connections, timers, listeners, handlers,
   * also of clients of others. Ends the mock's own client. Call it at the end of each test, after unmounting.
   *
   * @throws Error, which lists what is left.
   */
  expectNoLeaks(): Promise<void>;
}

/** Longest time that `reconnect` lets pass, milliseconds: the longest `Retry-After` that clients heed, and some. */
const PATIENCE = 600_000;
let mocks = 0;

/**
 * A {@link MockSSE} for one test.
 *
 * ```tsx
 * const sse = createMockSSE();
 * const { unmount } = render(<SSEProvider {...sse.options}><Price /></SSEProvider>);
 * await act(() => sse.emit("price", { eur: 42 }));
 * expect(screen.getByText("42 €")).toBeTruthy();
 * unmount();
 * await sse.expectNoLeaks();
 * ```
 *
 * Where the hooks themselves are replaced by a module mock, it can be what they return: `useSSE: () => sse`. Then it
 * connects a client of its own, with the first `addEventListener` or `connect`.
 */
export function createMockSSE({ sessionId = "test", ...hubOptions }: MockSSEOptions = {}): MockSSE {
  const baseline = takeLedger();
  const clock = createClock();
  const page = createPage();
  const hub = createMemoryHub({ ...hubOptions, clock });
  const errors: SSEError[] = [];
  let wanted = 1;
  let own: SSEClient<any> | undefined;

  const options: MockSSE["options"] = {
    // One for each mock, so that no connection is shared between tests.
    baseUrl: `https://mock-${++mocks}.invalid`,
    sessionId,
    fetch: hub.fetch,
    clock,
    page,
    random: () => 0.5,
    // Time stands still: what is unmounted is closed.
    linger: 0,
    onError(error) {
      errors.push(error);
      if (error.kind === "handler" || error.kind === "parse") report(error.cause ?? error);
    },
  };

  const client = (): SSEClient<any> => (own ??= new SSEClient<any>(options));

  /** Lets things happen, and time pass if `patience` allows, until there are so many connections. */
  const connected = async (count: number, patience: number): Promise<void> => {
    const end = clock.now() + patience;
    await settle();
    while (hub.connections < count || !answered()) {
      if (clock.now() + clock.next > end) throw new Error(`nobody connects: ${hub.connections} of ${count} are there`);
      await clock.advance(clock.next);
    }
  };
  const answered = (): boolean => hub.streams > 0 || hub.requests.at(-1)?.delivery === "poll";

  /** Breaks what is there, and remembers how much it was. */
  const breakAll = async (how: () => void): Promise<void> => {
    await settle();
    wanted = Math.max(hub.connections, 1);
    how();
    await settle();
  };

  return {
    options,
    hub,
    clock,
    page,
    errors,
    get state() {
      if (own) return own.state;
      if (hub.connections) return hub.streams ? "open" : answered() ? "polling" : "connecting";
      if (clock.pending) return "reconnecting";
      if (!hub.requests.length) return "idle";
      return errors.at(-1)?.retryable === false ? "error" : "closed";
    },
    get connections() {
      return hub.connections;
    },
    get requests() {
      return hub.requests.length;
    },

    open: () => connected(1, 0),
    async emit(type, data, session) {
      await connected(1, 0);
      const sessions = session === undefined ? hub.requests.map((request) => request.sessionId) : [session];
      for (const name of new Set(sessions)) hub.publish(name, type, data);
      await settle();
    },
    async fail(what = 403) {
      await breakAll(() => {
        hub.refuse(hub.connections || 1, what);
        hub.drop();
      });
      while (hub.refusals && clock.pending) await clock.advance(clock.next);
    },
    drop: () => breakAll(() => hub.drop()),
    reconnect: () => connected(wanted, PATIENCE),
    closingEvent: (code) => breakAll(() => hub.closingEvent(code)),

    get isConnected() {
      return own?.isConnected ?? hub.streams > 0;
    },
    get connectionState() {
      return this.state;
    },
    get connectionError() {
      if (own) return own.status.error;
      return /^(reconnecting|error)$/.test(this.state) ? (errors.at(-1) ?? null) : null;
    },
    get closeReason(): CloseReason | null {
      return own?.status.reason ?? (this.state === "closed" ? "disconnected" : null);
    },
    get lastEventId() {
      return own?.lastEventId ?? "";
    },
    get failures() {
      return own?.status.failures ?? (this.state === "reconnecting" ? 1 : 0);
    },
    addEventListener(type, handler) {
      const off = client().on(type, (_, event) => handler(event));
      client().connect();
      return off;
    },
    connect: () => client().connect(),
    disconnect: () => own?.disconnect(),

    async expectNoLeaks() {
      own?.disconnect();
      try {
        await expectNothingLeft(() => ({
          ...since(baseline),
          connections: hub.connections,
          "timers of the clock": clock.pending,
          "listeners of the page": page.listeners,
        }));
      } finally {
        own?.destroy();
      }
    },
  };
}

/** As a client without `onError` does. */
function report(thrown: unknown): void {
  if (typeof reportError === "function") reportError(thrown);
  else console.error(thrown);
}
