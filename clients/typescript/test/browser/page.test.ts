import { afterEach, describe, expect, test, vi } from "vitest";
import { SSEClient } from "../../src/client.ts";
import { ended, stream } from "../kit/answers.ts";
import { startScripted } from "../kit/remote.ts";
import { connect } from "../kit/watch.ts";

const requests = async (server: Awaited<ReturnType<typeof startScripted>>): Promise<(string | undefined)[]> =>
  (await server.requests()).map(({ headers }) => headers["last-event-id"]);

/** What the browser would say of its tab. */
function setVisibility(state: "visible" | "hidden"): void {
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
  document.dispatchEvent(new Event("visibilitychange"));
}

afterEach(() => {
  Reflect.deleteProperty(document, "visibilityState");
});

describe("the page itself, in Chromium", () => {
  const REAL = { clock: undefined, page: undefined };

  test("on its way into the back-forward cache has no connection, and one again when it is back", async () => {
    const server = await startScripted(stream("id:1\ndata:a\n\n"), stream("id:2\ndata:b\n\n"));
    const watched = connect({ ...REAL, url: server.url });
    await watched.receive(1);
    window.dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
    await expect.poll(() => server.open()).toBe(0);
    expect(watched.client.state).toBe("reconnecting");
    window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    await watched.receive(2);
    expect(await requests(server)).toEqual([undefined, "1"]);
    expect(watched.errors).toEqual([]);
  });

  test("hidden keeps its connection, and shown again as well", async () => {
    const server = await startScripted(stream("data:a\n\n"));
    const watched = connect({ ...REAL, url: server.url });
    await watched.receive(1);
    setVisibility("hidden");
    await server.send("data:b\n\n");
    await watched.receive(2);
    setVisibility("visible");
    window.dispatchEvent(new Event("online"));
    await server.send("data:c\n\n");
    await watched.receive(3);
    expect(await requests(server)).toHaveLength(1);
    expect(watched.states).toEqual(["connecting", "open"]);
  });

  test("back in a network tries again soon, once", async () => {
    const server = await startScripted({ status: 503 }, stream("data:a\n\n"));
    const watched = connect({ ...REAL, url: server.url, retryDelay: 25_000, random: () => 1 });
    await watched.until("reconnecting");
    window.dispatchEvent(new Event("offline"));
    for (let turn = 0; turn < 5; turn++) window.dispatchEvent(new Event("online"));
    await watched.receive(1);
    await server.barrier();
    expect(await requests(server)).toHaveLength(2);
  });

  test("is listened to only while a client is connected", async () => {
    const server = await startScripted(stream());
    const added = new Map<string, number>();
    const targets: EventTarget[] = [window, document];
    for (const target of targets) {
      const { addEventListener, removeEventListener } = target;
      target.addEventListener = (type: string, ...rest: [never]) => {
        added.set(type, (added.get(type) ?? 0) + 1);
        addEventListener.call(target, type, ...rest);
      };
      target.removeEventListener = (type: string, ...rest: [never]) => {
        added.set(type, (added.get(type) ?? 0) - 1);
        removeEventListener.call(target, type, ...rest);
      };
    }
    try {
      const client = new SSEClient({ url: server.url });
      expect(added.size).toBe(0);
      client.connect();
      expect(Object.fromEntries(added)).toEqual({ online: 1, pagehide: 1, pageshow: 1, visibilitychange: 1 });
      client.destroy();
      expect([...added.values()]).toEqual([0, 0, 0, 0]);
    } finally {
      for (const target of targets) {
        Reflect.deleteProperty(target, "addEventListener");
        Reflect.deleteProperty(target, "removeEventListener");
      }
    }
  });
});

describe("what applications do, in Chromium", () => {
  test("row g: close in a handler, with three events in a chunk", async () => {
    const server = await startScripted(stream("data:1\n\ndata:2\n\ndata:3\n\n"));
    const watched = connect({ url: server.url });
    let calls = 0;
    watched.client.on("message", () => {
      calls++;
      watched.client.close();
    });
    await expect.poll(() => calls).toBe(1);
    await expect.poll(() => server.open()).toBe(0);
    expect(calls).toBe(1);
  });

  test("41: what a handler throws goes to reportError, and the stream goes on", async () => {
    const server = await startScripted(stream("data:1\n\ndata:2\n\n"));
    const seen: string[] = [];
    const reported: unknown[] = [];
    vi.stubGlobal("reportError", (thrown: unknown) => reported.push(thrown));
    const client = new SSEClient({ url: server.url });
    const mine = new Error("mine");
    client.on("message", () => {
      throw mine;
    });
    client.on("message", (_, { text }) => seen.push(text));
    client.connect();
    await expect.poll(() => seen).toEqual(["1", "2"]);
    vi.unstubAllGlobals();
    expect(reported).toEqual([mine, mine]);
    client.destroy();
  });

  test("abort, disconnect and connect in one tick leave one connection or none", async () => {
    const server = await startScripted(stream("data:1\n\n"));
    const controller = new AbortController();
    const watched = connect({ url: server.url, signal: controller.signal });
    watched.client.disconnect();
    watched.client.connect();
    await watched.receive(1);
    await server.barrier();
    await expect.poll(() => server.open()).toBe(1);
    controller.abort();
    await expect.poll(() => server.open()).toBe(0);
    expect(watched.client.state).toBe("closed");
  });

  test("a server that ends each stream is not stormed", async () => {
    const server = await startScripted(ended("data:1\n\n"));
    const watched = connect({ url: server.url, clock: undefined, random: undefined });
    const began = performance.now();
    await watched.receive(4);
    expect(performance.now() - began).toBeGreaterThan(300);
  });
});
