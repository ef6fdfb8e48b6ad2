import { expect, test } from "vitest";
import { SSEClient } from "../../src/index.ts";
import { createClock, createMemoryHub, expectNoLeaks, settle, type MemoryHub } from "../../src/testing/index.ts";

// The recipe of docs/guide.md, "A page that is reloaded", as it stands there.

/** The application: it keeps a sum, and knows after which event that sum was right. */
class Application {
  #snapshot = { sum: 0, lastEventId: "" };
  asked = 0;
  readonly #hub: MemoryHub;

  constructor(hub: MemoryHub) {
    this.#hub = hub;
  }

  add(n: number): void {
    const lastEventId = this.#hub.publish("sum", "added", n);
    this.#snapshot = { sum: this.#snapshot.sum + n, lastEventId };
  }

  async snapshot(): Promise<{ sum: number; lastEventId: string }> {
    this.asked++;
    return { ...this.#snapshot };
  }
}

/** The page. */
async function openPage(application: Application, hub: MemoryHub, clock: ReturnType<typeof createClock>) {
  const page = { sum: 0, close: (): void => client.destroy() };
  let { sum, lastEventId } = await application.snapshot();
  page.sum = sum;
  const client = new SSEClient<{ added: number }>({ sessionId: "sum", lastEventId, fetch: hub.fetch, clock, random: () => 0 });
  client.on("added", (n) => (page.sum += n));
  client.on("gap", async () => {
    // Nothing is delivered meanwhile: what comes after the snapshot comes from its own place on.
    client.disconnect();
    ({ sum, lastEventId } = await application.snapshot());
    page.sum = sum;
    client.lastEventId = lastEventId;
    client.connect();
  });
  client.connect();
  return page;
}

test("a page that is reloaded shows what it would show if it had stayed", async () => {
  const clock = createClock();
  const hub = createMemoryHub({ clock });
  const application = new Application(hub);
  application.add(1);
  const first = await openPage(application, hub, clock);
  await settle();
  application.add(2);
  await settle();
  expect(first.sum).toBe(3);
  first.close();
  application.add(4);
  const second = await openPage(application, hub, clock);
  // Between its snapshot and its stream.
  application.add(8);
  await settle();
  application.add(16);
  await settle();
  expect([second.sum, application.asked]).toEqual([31, 2]);
  second.close();
  await expectNoLeaks();
});

test("and on a gap the snapshot is fetched again, and counts", async () => {
  const clock = createClock();
  const hub = createMemoryHub({ clock, history: 2 });
  const application = new Application(hub);
  const page = await openPage(application, hub, clock);
  await settle();
  application.add(1);
  await settle();
  hub.drop();
  for (let n = 0; n < 10; n++) application.add(1);
  await clock.advance(60_000);
  expect([page.sum, application.asked]).toEqual([11, 2]);
  application.add(1);
  await settle();
  expect(page.sum).toBe(12);
  page.close();
  await expectNoLeaks();
});
