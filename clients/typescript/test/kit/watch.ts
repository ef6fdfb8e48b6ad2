import { expect } from "vitest";
import { SSEClient } from "../../src/client.ts";
import type { SSEError } from "../../src/errors.ts";
import { createPage, type FakePage } from "../../src/testing/page.ts";
import type { SSEClientOptions, SSEEvent } from "../../src/types.ts";
import { FakeClock } from "./clock.ts";

/** A client with a record of everything it told. */
export class Watched {
  readonly client: SSEClient;
  /** Time stands still for the client; `realTime` has it go on. */
  readonly clock: FakeClock;
  readonly page: FakePage;
  readonly events: SSEEvent[] = [];
  readonly errors: SSEError[] = [];
  readonly states: string[] = [];
  #seen = 0;

  constructor(options: SSEClientOptions, clock: FakeClock, page: FakePage) {
    this.clock = clock;
    this.page = page;
    this.client = new SSEClient({
      clock,
      page,
      random: () => 0,
      ...options,
      onError: (error) => {
        this.errors.push(error);
        options.onError?.(error);
      },
    });
    this.client.on("*", (_, event) => this.events.push(event));
    this.client.onConnectionChange((state) => this.states.push(state));
  }

  get texts(): string[] {
    return this.events.map(({ text }) => text);
  }

  get ids(): string[] {
    return this.events.map(({ id }) => id);
  }

  /** Waits until so many events have come. */
  async receive(count: number): Promise<void> {
    await expect.poll(() => this.events.length, { message: "events" }).toBeGreaterThanOrEqual(count);
  }

  /** Waits for a state. */
  async until(state: string): Promise<void> {
    await expect.poll(() => this.client.state, { message: "state" }).toBe(state);
  }

  /** Attempts that failed. */
  get lost(): number {
    return this.errors.filter(({ kind }) => !["handler", "parse", "gap", "limit"].includes(kind)).length;
  }

  /** Waits until one more attempt has failed, and lets the next begin. */
  async again(): Promise<void> {
    await expect.poll(() => this.lost, { message: "attempts that failed" }).toBeGreaterThan(this.#seen);
    this.#seen = this.lost;
    expect(this.client.state).toBe("reconnecting");
    this.clock.advance(this.clock.next);
  }
}

const watched: Watched[] = [];

/** A client that is destroyed after the test. Time stands still for it unless `clock` says otherwise. */
export function watch(options: SSEClientOptions): Watched {
  const client = new Watched(options, new FakeClock(), createPage());
  watched.push(client);
  return client;
}

/** The same, connected. */
export function connect(options: SSEClientOptions): Watched {
  const client = watch(options);
  client.client.connect();
  return client;
}

/** Destroys all; at once nothing of any of them is left. */
export function destroyAll(): void {
  for (const { client, clock, page } of watched.splice(0)) {
    client.destroy();
    expect(clock.pending, "timers").toBe(0);
    expect(page.listeners, "listeners").toBe(0);
  }
}
