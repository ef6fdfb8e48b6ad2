import { describe, expect, test } from "vitest";
import type { SSEClientOptions } from "../../src/types.ts";
import { startHub, startProxy, type RemoteHub } from "../kit/remote.ts";
import { connect, type Watched } from "../kit/watch.ts";
import { seeded } from "../kit/wire.ts";

/** Time goes on by itself, and a client that was cut off comes back as soon as it may. */
const REAL: SSEClientOptions = { clock: undefined, replay: "all" };

/** Long-polls are for ways that keep streams back; a hub that is only away for long looks the same for a while. */
const STREAMS: SSEClientOptions = { ...REAL, enablePollingFallback: false };

const numbers = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, at) => String(from + at));

/** What was published (the hub carries it as JSON) and came, without the hub's own events. */
const texts = ({ events }: Watched): string[] =>
  events.filter(({ type }) => type === "message").map(({ data }) => data as string);
const gaps = ({ events }: Watched): unknown[] => events.filter(({ type }) => type === "gap").map(({ data }) => data as unknown);

/** Every event came once, in order. */
async function hasAll(watched: Watched, expected: string[]): Promise<void> {
  await expect.poll(() => texts(watched).length, { message: "events", timeout: 40_000 }).toBeGreaterThanOrEqual(expected.length);
  expect(texts(watched)).toEqual(expected);
}

async function publishAll(hub: RemoteHub, all: string[], portion = 10): Promise<void> {
  for (let at = 0; at < all.length; at += portion) await hub.publish("s", all.slice(at, at + portion));
}

describe("a real hub", () => {
  test("history, then live events, each once and in order, over a kill -9 and a restart", async () => {
    const hub = await startHub();
    await publishAll(hub, numbers(1, 50));
    const watched = connect({ ...REAL, baseUrl: hub.url, sessionId: "s" });
    await publishAll(hub, numbers(51, 100));
    await hasAll(watched, numbers(1, 100));
    const last = watched.client.lastEventId;
    await hub.kill();
    await watched.until("reconnecting");
    await hub.restart();
    await publishAll(hub, numbers(101, 150));
    await hasAll(watched, numbers(1, 150));
    // The session began anew, which is told where it happened: before the first event of the new one.
    expect(gaps(watched)).toMatchObject([{ reason: "epoch", from: last }]);
    expect(watched.events.findIndex(({ type }) => type === "gap")).toBe(100);
    await expect.poll(() => hub.subscribers()).toBe(1);
  });

  test("three restarts are three gaps, and one connection at the end", async () => {
    const hub = await startHub();
    const watched = connect({ ...STREAMS, baseUrl: hub.url, sessionId: "s" });
    await watched.until("open");
    for (let life = 1; life <= 3; life++) {
      await hub.publish("s", [String(life)]);
      await hasAll(watched, numbers(1, life));
      await hub.kill();
      await watched.until("reconnecting");
      await hub.restart();
      await watched.until("open");
    }
    await hub.publish("s", ["4"]);
    await hasAll(watched, numbers(1, 4));
    expect(gaps(watched)).toHaveLength(3);
    await expect.poll(() => hub.subscribers()).toBe(1);
  });

  test("that shuts down sends a closing event, and is asked again", async () => {
    const hub = await startHub();
    const watched = connect({ ...STREAMS, baseUrl: hub.url, sessionId: "s" });
    await watched.until("open");
    await hub.shutDown();
    await expect.poll(() => watched.errors[0]).toMatchObject({ kind: "closing", code: "SHUTTING_DOWN" });
    await hub.restart();
    await watched.until("open");
  });

  test("that ends the session is not asked again", async () => {
    const hub = await startHub();
    const watched = connect({ ...REAL, baseUrl: hub.url, sessionId: "s" });
    await watched.until("open");
    await hub.publish("s", ["1"]);
    await hub.endSession("s");
    await watched.until("closed");
    expect(texts(watched)).toEqual(["1"]);
    expect(watched.client.status).toMatchObject({ error: null, reason: "session-ended" });
    await expect.poll(() => hub.subscribers()).toBe(0);
  });

  test("whose history was too short tells how many events are missing", async () => {
    const hub = await startHub("--max-history-per-session", "10");
    const watched = connect({ ...REAL, baseUrl: hub.url, sessionId: "s" });
    await watched.until("open");
    await publishAll(hub, numbers(1, 5));
    await hasAll(watched, numbers(1, 5));
    watched.client.disconnect();
    await publishAll(hub, numbers(6, 50));
    watched.client.connect();
    await hasAll(watched, [...numbers(1, 5), ...numbers(41, 50)]);
    expect(gaps(watched)).toMatchObject([{ reason: "evicted", missed: 35 }]);
  });

  test("twenty clients at once: all get all, and nothing stays", async () => {
    const hub = await startHub();
    const all = Array.from({ length: 20 }, () => connect({ ...REAL, baseUrl: hub.url, sessionId: "s" }));
    for (const watched of all) await watched.until("open");
    await publishAll(hub, numbers(1, 100));
    for (const watched of all) await hasAll(watched, numbers(1, 100));
    for (const { client } of all) client.destroy();
    await expect.poll(() => hub.open()).toBe(0);
  });

  test("with names, types and texts of any kind", async () => {
    const hub = await startHub();
    const watched = connect({ ...REAL, baseUrl: hub.url, sessionId: "a b/ü?#" });
    await watched.until("open");
    const all = ["", " ", "a\nb\n", "é😀\u2028", '{"a":[1]}', ":x", "data: y", "x".repeat(100_000)];
    await hub.publish(encodeURIComponent("a b/ü?#"), all, "some type");
    await watched.receive(all.length);
    // Published as JSON strings, they come as their JSON text.
    expect(watched.events.map(({ data }) => data as unknown)).toEqual(all);
    expect(new Set(watched.events.map(({ type }) => type))).toEqual(new Set(["some type"]));
  });
});

describe("a real hub behind something", () => {
  test.each([1, 2, 3])("that cuts connections at random points (seed %d): every event once", async (seed) => {
    const hub = await startHub();
    const proxy = await startProxy(hub);
    const random = seeded(seed);
    const cuts = Array.from({ length: 25 }, () => 1 + Math.floor(random() ** 2 * 1_500));
    await proxy.cutAfter(cuts);
    const watched = connect({ ...STREAMS, baseUrl: proxy.url, sessionId: "s" });
    await publishAll(hub, numbers(1, 400), 7);
    await hasAll(watched, numbers(1, 400));
    await expect.poll(() => proxy.cutsLeft(), { timeout: 40_000 }).toBe(0);
    await hub.publish("s", ["401"]);
    await hasAll(watched, numbers(1, 401));
    expect(gaps(watched)).toEqual([]);
    await expect.poll(() => proxy.open()).toBe(1);
  });

  test("that answers 502 for ten seconds: it comes back without loss", async () => {
    const hub = await startHub();
    const proxy = await startProxy(hub);
    const watched = connect({ ...REAL, baseUrl: proxy.url, sessionId: "s", random: Math.random, maxRetryDelay: 1_000 });
    await watched.until("open");
    await publishAll(hub, numbers(1, 20));
    await hasAll(watched, numbers(1, 20));
    await proxy.setMode("refuse");
    await proxy.cut();
    const began = performance.now();
    for (let number = 21; performance.now() - began < 10_000; number++) {
      await hub.publish("s", [String(number)]);
      await expect.poll(() => performance.now() - began).toBeGreaterThan((number - 20) * 500);
    }
    await proxy.setMode("pass");
    await hub.publish("s", ["last"]);
    await expect.poll(() => texts(watched).at(-1), { timeout: 40_000 }).toBe("last");
    const got = texts(watched);
    expect(got.slice(0, -1)).toEqual(numbers(1, got.length - 1));
    expect(got.length).toBeGreaterThan(30);
    expect(gaps(watched)).toEqual([]);
    // A stream may be tried just now.
    await expect.poll(() => watched.client.isConnected).toBe(true);
    // Ten seconds of refusals are no storm.
    const refusals = (await proxy.requests()).filter((request) => request.startsWith("refuse")).length;
    expect(refusals).toBeGreaterThan(5);
    expect(refusals).toBeLessThan(60);
  }, 90_000);

  test.each(["buffer", "buffer-body"] as const)("that keeps everything back (%s): long-polls bring every event once, until it stops", async (mode) => {
    const hub = await startHub();
    const proxy = await startProxy(hub);
    await proxy.setMode(mode);
    const watched = connect({ baseUrl: proxy.url, sessionId: "s", replay: "all" });
    await publishAll(hub, numbers(1, 10));
    for (let turn = 1; turn <= 3; turn++) {
      await expect.poll(() => proxy.open()).toBe(1);
      watched.clock.advance(10_000);
      expect(watched.lost).toBe(turn);
      expect(watched.errors.at(-1)).toMatchObject({ kind: "timeout" });
      await expect.poll(() => proxy.open()).toBe(0);
      await watched.again();
    }
    await watched.until("polling");
    await hasAll(watched, numbers(1, 10));
    for (let number = 11; number <= 15; number++) {
      watched.clock.advance(500);
      await expect.poll(() => proxy.open()).toBe(1);
      await hub.publish("s", [String(number)]);
      await hasAll(watched, numbers(1, number));
    }
    await proxy.setMode("pass");
    watched.clock.advance(500);
    await expect.poll(() => proxy.open()).toBe(1);
    watched.clock.advance(20_000);
    await hub.publish("s", ["16"]);
    await hasAll(watched, numbers(1, 16));
    watched.clock.advance(500);
    await watched.until("open");
    await hub.publish("s", ["17"]);
    await hasAll(watched, numbers(1, 17));
    expect(gaps(watched)).toEqual([]);
    await expect.poll(() => proxy.open()).toBe(1);
  });

  test("that freezes: silence is noticed, and nothing is lost or doubled", async () => {
    const hub = await startHub("--heartbeat-interval", "1s");
    const proxy = await startProxy(hub);
    const watched = connect({ baseUrl: proxy.url, sessionId: "s", replay: "all" });
    await hub.publish("s", ["1"]);
    await hasAll(watched, ["1"]);
    await proxy.setMode("freeze");
    await publishAll(hub, numbers(2, 20));
    watched.clock.advance(15_000);
    expect(watched.errors).toMatchObject([{ kind: "timeout" }]);
    await proxy.setMode("pass");
    await watched.again();
    await hasAll(watched, numbers(1, 20));
    await expect.poll(() => proxy.open()).toBe(1);
  });
});
