import { describe, expect, it, vi } from "vitest";
import { SSEClient, SSEError, type SSEEvent } from "../../src/index.ts";
import { ledger } from "../../src/ledger.ts";
import { createMockSSE, expectNoLeaks, settle, takeLedger } from "../../src/testing/index.ts";

describe("with the real client", () => {
  it("connects, emits, breaks and comes back", async () => {
    const sse = createMockSSE();
    const client = new SSEClient(sse.options);
    const seen: unknown[] = [];
    client.on("price", (data) => seen.push(data));
    sse.hub.hold();
    client.connect();
    await settle();
    expect(sse.state).toBe("connecting");
    sse.hub.release();
    await sse.open();
    expect([sse.state, sse.connections, sse.requests]).toEqual(["open", 1, 1]);
    await sse.emit("price", { eur: 42 });
    await sse.emit("price", "none");
    await sse.drop();
    expect([sse.state, sse.connections, client.state]).toEqual(["reconnecting", 0, "reconnecting"]);
    sse.hub.publish("test", "price", { eur: 43 });
    await sse.reconnect();
    expect(seen).toEqual([{ eur: 42 }, "none", { eur: 43 }]);
    await sse.closingEvent("TIMEOUT");
    expect(client.status.error).toMatchObject({ kind: "closing", code: "TIMEOUT" });
    await sse.reconnect();
    expect(client.isConnected).toBe(true);
    client.destroy();
    await sse.expectNoLeaks();
  });

  it.each([403, 404, new SSEError("limit", "too large")])("fail(%s) ends in state error", async (what) => {
    const sse = createMockSSE();
    const client = new SSEClient(sse.options);
    client.connect();
    await sse.fail(what);
    expect([client.state, sse.state]).toEqual(["error", "error"]);
    expect(sse.connectionError).toBe(client.status.error);
    client.connect();
    await sse.open();
    client.destroy();
    await sse.expectNoLeaks();
  });

  it.each([502, new TypeError("no route")])("fail(%s) can be mended", async (what) => {
    const sse = createMockSSE();
    const client = new SSEClient(sse.options);
    client.connect();
    await sse.open();
    await sse.fail(what);
    expect([client.state, sse.state, client.status.failures]).toEqual(["reconnecting", "reconnecting", 2]);
    await sse.reconnect();
    expect([client.state, sse.state]).toEqual(["open", "open"]);
    client.destroy();
    await sse.expectNoLeaks();
  });

  it("says so when nobody connects", async () => {
    const sse = createMockSSE();
    await expect(sse.open()).rejects.toThrow("nobody connects: 0 of 1");
    await expect(sse.emit("price")).rejects.toThrow("nobody connects");
    await expect(sse.reconnect()).rejects.toThrow("nobody connects");
    await sse.expectNoLeaks();
  });

  it("reports what handlers throw, although it listens for errors", async () => {
    const report = vi.fn();
    vi.stubGlobal("reportError", report);
    const sse = createMockSSE();
    const client = new SSEClient(sse.options);
    const thrown = new Error("mine");
    client.on("price", () => {
      throw thrown;
    });
    client.connect();
    await sse.emit("price");
    vi.unstubAllGlobals();
    expect(report).toHaveBeenCalledWith(thrown);
    expect(sse.errors).toMatchObject([{ kind: "handler", cause: thrown }]);
    client.destroy();
    await sse.expectNoLeaks();
  });

  it("emits to every session that was asked for, or to one", async () => {
    const sse = createMockSSE();
    const seen: string[] = [];
    const clients = ["a", "b"].map((sessionId) => {
      const client = new SSEClient({ ...sse.options, sessionId });
      client.on("n", (data) => seen.push(`${sessionId}${data}`));
      client.connect();
      return client;
    });
    await sse.emit("n", 1);
    await sse.emit("n", 2, "b");
    expect(seen.sort()).toEqual(["a1", "b1", "b2"]);
    for (const client of clients) client.destroy();
    await sse.expectNoLeaks();
  });

  it("works while the test runner's timers are fake", async () => {
    vi.useFakeTimers();
    const sse = createMockSSE();
    const client = new SSEClient(sse.options);
    client.connect();
    await sse.open();
    await sse.drop();
    await sse.reconnect();
    client.destroy();
    await sse.expectNoLeaks();
    vi.useRealTimers();
  });
});

describe("instead of the hooks", () => {
  it("is what they return, with a client of its own", async () => {
    const sse = createMockSSE();
    const seen: SSEEvent[] = [];
    expect([sse.isConnected, sse.connectionState, sse.connectionError]).toEqual([false, "idle", null]);
    const off = sse.addEventListener("price", (event) => seen.push(event));
    await sse.emit("price", { eur: 42 });
    expect([sse.isConnected, sse.connectionState]).toEqual([true, "open"]);
    expect(seen).toMatchObject([{ type: "price", data: { eur: 42 } }]);
    await sse.fail(403);
    expect([sse.isConnected, sse.connectionState, sse.connectionError?.status]).toEqual([false, "error", 403]);
    sse.connect();
    await sse.open();
    off();
    await sse.emit("price", { eur: 43 });
    expect(seen).toHaveLength(1);
    sse.disconnect();
    expect(sse.connectionState).toBe("closed");
    await sse.expectNoLeaks();
  });

  it("finds the handler that a component forgot", async () => {
    const sse = createMockSSE();
    sse.addEventListener("price", () => {});
    await sse.open();
    await expect(sse.expectNoLeaks()).rejects.toThrow("not given back: 1 handlers");
    await expectNoLeaks();
  });
});

describe("expectNoLeaks", () => {
  it("lists what is left", async () => {
    const sse = createMockSSE();
    const client = new SSEClient(sse.options);
    client.on("price", () => {});
    client.connect();
    await sse.open();
    const left = /1 clients, 1 attempts, 1 timers, \d+ listeners, 1 handlers, 1 connections, 2 timers of the clock, \d+ listeners/;
    await expect(sse.expectNoLeaks()).rejects.toThrow(left);
    await expect(expectNoLeaks()).rejects.toThrow(/1 clients, 1 attempts/);
    client.destroy();
    await expectNoLeaks();
  });

  it("works from a baseline", async () => {
    const before = new SSEClient({ ...createMockSSE().options, signal: new AbortController().signal });
    before.on("price", () => {});
    const baseline = takeLedger();
    const sse = createMockSSE();
    const client = new SSEClient(sse.options);
    client.connect();
    await settle();
    await expect(expectNoLeaks(baseline)).rejects.toThrow("1 clients");
    client.destroy();
    await expectNoLeaks(baseline);
    await sse.expectNoLeaks();
    expect(ledger.handlers).toBe(1);
    before.destroy();
  });
});
