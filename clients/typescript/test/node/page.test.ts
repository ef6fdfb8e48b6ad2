import { describe, expect, test } from "vitest";
import { refused, stream } from "../kit/answers.ts";
import { serve } from "../kit/servers.ts";
import { connect, type Watched } from "../kit/watch.ts";

/** One more failure, and how long the client waits then. */
async function wait(watched: Watched, failures: number): Promise<number> {
  await expect.poll(() => watched.lost).toBe(failures);
  return watched.clock.next;
}

describe("a hidden page", () => {
  test("keeps its connection, its events and its heartbeat", async () => {
    const server = await serve(stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(1);
    watched.page.hide();
    for (let beat = 0; beat < 10; beat++) {
      watched.clock.advance(30_000);
      server.send(":\n\ndata:x\n\n");
      await watched.receive(beat + 2);
    }
    expect(server.requests).toHaveLength(1);
    expect(watched.states).toEqual(["connecting", "open"]);
  });

  test("tries again at once the first time, and rarely after that", async () => {
    const server = await serve(refused(503));
    const watched = connect({ url: server.url });
    watched.page.hide();
    expect(await wait(watched, 1)).toBe(100);
    watched.clock.advance(100);
    expect(await wait(watched, 2)).toBe(30_100);
    watched.clock.advance(30_100);
    expect(await wait(watched, 3)).toBe(30_100);
  });

  test("tries soon when it is shown", async () => {
    const server = await serve(refused(503), refused(503), stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    watched.page.hide();
    await watched.again();
    expect(await wait(watched, 2)).toBe(30_100);
    watched.page.show();
    expect(watched.clock.next).toBeLessThanOrEqual(100);
    watched.clock.advance(100);
    await watched.receive(1);
  });
});

describe("shown again, or back in a network", () => {
  test("a stream that was heard lately is left alone", async () => {
    const server = await serve(stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(1);
    watched.clock.advance(10_000);
    watched.page.hide();
    watched.page.show();
    watched.page.online();
    expect(watched.clock.next).toBeGreaterThan(5_000);
    watched.clock.advance(20_000);
    expect(watched.states).toEqual(["connecting", "open"]);
  });

  test("one that is late has a few seconds to prove that it lives", async () => {
    const server = await serve(stream("data:1\n\n"), stream("data:2\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(1);
    watched.clock.advance(30_000);
    watched.page.show();
    watched.clock.advance(4_999);
    expect(watched.client.state).toBe("open");
    watched.clock.advance(1);
    expect(watched.client.state).toBe("reconnecting");
    await watched.again();
    await watched.receive(2);
    await expect.poll(() => server.open).toBe(1);
  });

  test("one that proves it stays", async () => {
    const server = await serve(stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(1);
    watched.clock.advance(30_000);
    watched.page.online();
    server.send("data:2\n\n");
    await watched.receive(2);
    watched.clock.advance(40_000);
    expect(watched.states).toEqual(["connecting", "open"]);
  });

  test("an attempt is never moved further away, however often that happens", async () => {
    const server = await serve(refused(503), stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    await watched.until("reconnecting");
    const due = watched.clock.now() + watched.clock.next;
    for (let turn = 0; turn < 10; turn++) {
      watched.page.online();
      watched.page.show();
      expect(watched.clock.now() + watched.clock.next).toBeLessThanOrEqual(due);
      watched.clock.advance(10);
    }
    await watched.receive(1);
    expect(server.requests).toHaveLength(2);
  });

  test("a request in flight is not doubled", async () => {
    const server = await serve({ mute: true });
    const watched = connect({ url: server.url });
    await expect.poll(() => server.open).toBe(1);
    watched.page.online();
    watched.page.show();
    watched.page.comeBack();
    watched.clock.advance(500);
    await server.barrier();
    expect(server.requests).toHaveLength(1);
  });
});

describe("without a network", () => {
  test("it waits, and tries soon when the network is back", async () => {
    const server = await serve(refused(503), refused(503), stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    watched.page.offline();
    await watched.again();
    expect(await wait(watched, 2)).toBe(30_100);
    watched.page.online();
    expect(watched.clock.next).toBeLessThanOrEqual(100);
    watched.clock.advance(100);
    await watched.receive(1);
  });
});

describe("a page that goes into the back-forward cache", () => {
  test("has no connection and no timer there, and comes back with its cursor, without an error", async () => {
    const server = await serve(stream("id:1\ndata:1\n\n"), stream("id:2\ndata:2\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(1);
    watched.page.leave();
    expect(watched.clock.pending).toBe(0);
    await expect.poll(() => server.open).toBe(0);
    expect(watched.client.state).toBe("reconnecting");
    watched.page.hide();
    watched.clock.advance(3_600_000);
    watched.page.comeBack();
    watched.page.show();
    await watched.receive(2);
    expect(server.requests.map(({ headers }) => headers["last-event-id"])).toEqual([undefined, "1"]);
    expect(watched.errors).toEqual([]);
    expect(server.open).toBe(1);
  });

  test("while it waits for its next attempt: begins at once when it is back", async () => {
    const server = await serve(refused(503), stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    await watched.until("reconnecting");
    watched.page.leave();
    expect(watched.clock.pending).toBe(0);
    watched.page.comeBack();
    // Two attempts never come closer than this.
    expect(watched.clock.next).toBe(100);
    watched.clock.advance(100);
    await watched.receive(1);
  });

  test("leaving ten times over is still one connection", async () => {
    const server = await serve(stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(1);
    for (let turn = 0; turn < 10; turn++) {
      watched.page.leave();
      watched.page.comeBack();
    }
    await watched.receive(2);
    await server.barrier();
    await expect.poll(() => server.open).toBe(1);
    expect(watched.page.listeners).toBe(4);
    watched.client.disconnect();
    expect(watched.page.listeners).toBe(0);
    watched.page.comeBack();
    await server.barrier();
    await expect.poll(() => server.open).toBe(0);
  });
});
