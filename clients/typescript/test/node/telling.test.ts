import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SSEClient } from "../../src/client.ts";
import { ledger } from "../../src/ledger.ts";
import { broken, ended, refused, stream } from "../kit/answers.ts";
import { serve } from "../kit/servers.ts";
import { connect, watch } from "../kit/watch.ts";

const NOTHING = { clients: 0, attempts: 0, timers: 0, listeners: 0, handlers: 0 };
const EPOCH = "0123456789ab";

describe("41: what the application throws", () => {
  const reported: unknown[] = [];
  const global = globalThis as { reportError?: unknown };
  beforeEach(() => {
    reported.length = 0;
    global.reportError = (thrown: unknown) => reported.push(thrown);
  });
  afterEach(() => {
    delete global.reportError;
  });

  test("without onError goes to reportError, and the stream goes on", async () => {
    const server = await serve(stream("data:1\n\ndata:2\n\n"));
    const texts: string[] = [];
    const client = new SSEClient({ url: server.url, onError: undefined });
    client.on("message", () => {
      throw new Error("first");
    });
    client.on("message", (_, { text }) => texts.push(text));
    client.connect();
    await expect.poll(() => texts).toEqual(["1", "2"]);
    expect(reported.map(String)).toEqual(["Error: first", "Error: first"]);
    expect(server.requests).toHaveLength(1);
    client.destroy();
  });

  test("without reportError goes to the console", async () => {
    delete global.reportError;
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    const server = await serve(stream("data:1\n\n"));
    const client = new SSEClient({ url: server.url });
    client.on("message", () => {
      throw new Error("first");
    });
    client.connect();
    await expect.poll(() => log.mock.calls.flat().map(String)).toEqual(["Error: first"]);
    log.mockRestore();
    client.destroy();
  });

  test("in onError itself is reported, too", async () => {
    const server = await serve(refused(503), stream("data:1\n\n"));
    const watched = connect({
      url: server.url,
      onError: () => {
        throw new Error("from onError");
      },
    });
    await watched.again();
    await watched.receive(1);
    expect(reported.map(String)).toEqual(["Error: from onError"]);
  });

  test("in onConnectionChange, in onComment and in a parser disturbs nothing", async () => {
    const server = await serve(stream(":c\ndata:1\n\nevent:p\ndata:2\n\ndata:3\n\n"));
    const fail = (what: string) => (): never => {
      throw new Error(what);
    };
    const watched = watch({ url: server.url, onComment: fail("comment"), parsers: { p: fail("parser") } });
    watched.client.onConnectionChange(fail("change"));
    watched.client.connect();
    await watched.receive(2);
    expect(watched.texts).toEqual(["1", "3"]);
    expect(watched.errors.map(({ kind }) => kind)).toEqual(["handler", "handler", "handler", "parse"]);
    expect(watched.errors.map(({ message }) => message).join()).toMatch(/change.*change.*comment.*parser/);
    expect(server.requests).toHaveLength(1);
  });
});

describe("the end, from within whatever is called, is the last thing that is heard", () => {
  for (const end of ["destroy", "disconnect"] as const) {
    test(`${end} in onConnectionChange when the stream opens: no event, no comment`, async () => {
      const server = await serve({ ...stream(":c\ndata:1\n\n"), headers: { "content-type": "text/event-stream", "heartbeat-interval": "15" } });
      const comments: string[] = [];
      const watched = watch({ url: server.url, onComment: (text) => comments.push(text) });
      watched.client.onConnectionChange((state) => state === "open" && watched.client[end]());
      watched.client.connect();
      await watched.until("closed");
      await expect.poll(() => server.open).toBe(0);
      expect([watched.events, comments]).toEqual([[], []]);
    });

    test(`${end} in onConnectionChange after a failure: onError is not called any more`, async () => {
      const server = await serve(refused(503));
      const watched = watch({ url: server.url });
      watched.client.onConnectionChange((state) => state === "reconnecting" && watched.client[end]());
      watched.client.connect();
      await watched.until("closed");
      expect(watched.errors).toEqual([]);
      expect(watched.clock.pending).toBe(0);
    });

    test(`${end} in onError`, async () => {
      const server = await serve(refused(503));
      const watched = watch({ url: server.url, onError: () => watched.client[end]() });
      watched.client.connect();
      await watched.until("closed");
      expect(watched.errors).toHaveLength(1);
      expect({ ...ledger, handlers: 0 }).toEqual(NOTHING);
      watched.clock.advance(600_000);
      await server.barrier();
      expect(server.requests).toHaveLength(1);
    });

    test(`${end} in onConnectionChange while it connects: no request`, async () => {
      const server = await serve(stream("data:1\n\n"));
      const watched = watch({ url: server.url });
      watched.client.onConnectionChange((state) => state === "connecting" && watched.client[end]());
      watched.client.connect();
      await server.barrier();
      expect(watched.client.state).toBe("closed");
      expect(server.requests).toHaveLength(0);
    });

    test(`${end} in onComment`, async () => {
      const server = await serve(stream(":1\n:2\ndata:1\n\n"));
      const comments: string[] = [];
      const watched = connect({
        url: server.url,
        onComment: (text) => {
          comments.push(text);
          watched.client[end]();
        },
      });
      await watched.until("closed");
      await expect.poll(() => server.open).toBe(0);
      expect([comments, watched.events]).toEqual([["1"], []]);
    });

    test(`${end} in a token function`, async () => {
      const server = await serve(stream("data:1\n\n"));
      const watched = connect({ url: server.url, token: () => (watched.client[end](), "t") });
      await watched.until("closed");
      await server.barrier();
      expect(server.requests).toHaveLength(0);
    });
  }

  test("nobody who watches the status is told an old one after a newer one", async () => {
    const server = await serve(refused(503), stream());
    const watched = watch({ url: server.url });
    const seen: string[] = [];
    watched.client.onConnectionChange((state) => state === "reconnecting" && watched.client.disconnect());
    watched.client.onConnectionChange((state, status) => {
      expect(status.state).toBe(state);
      seen.push(state);
    });
    watched.client.connect();
    await watched.until("closed");
    expect(seen.at(-1)).toBe("closed");
  });

  test("reconnect in a handler: what is left of the chunk belongs to the old connection", async () => {
    const server = await serve(stream("id:1\ndata:1\n\nid:2\ndata:2\n\n"), stream("id:2\ndata:2\n\n"));
    const watched = watch({ url: server.url });
    watched.client.on("message", (data) => data === 1 && watched.client.reconnect());
    watched.client.connect();
    await watched.receive(2);
    expect(watched.texts).toEqual(["1", "2"]);
    expect(server.requests[1]?.headers).toMatchObject({ "last-event-id": "1" });
    await expect.poll(() => server.open).toBe(1);
  });
});

describe("the status", () => {
  test("is the same object until it changes", async () => {
    const server = await serve(stream("data:1\n\ndata:2\n\n"), stream("data:3\n\n"));
    const watched = watch({ url: server.url });
    const idle = watched.client.status;
    expect(idle).toEqual({ state: "idle", failures: 0, error: null, reason: null });
    expect(watched.client.status).toBe(idle);
    watched.client.connect();
    await watched.receive(2);
    const open = watched.client.status;
    server.send("data:x\n\n");
    await watched.receive(3);
    expect(watched.client.status).toBe(open);
    server.drop();
    await watched.until("reconnecting");
    expect(watched.client.status).not.toBe(open);
    expect(watched.client.status).toMatchObject({ failures: 1, error: { kind: "network" } });
    await watched.again();
    await watched.receive(4);
    expect(watched.client.status).toEqual({ state: "open", failures: 0, error: null, reason: null });
  });
});

describe("a hub's own events", () => {
  const closingEvent = (code: string): string => `event: error\ndata: {"error":"because","code":"${code}"}\n\n`;
  const HUB = { "content-type": "text/event-stream", "heartbeat-interval": "15" };

  test("SESSION_ENDED is the end: closed, said why, no further request", async () => {
    const server = await serve({ ...ended("data:1\n\n", closingEvent("SESSION_ENDED")), headers: HUB });
    const watched = connect({ url: server.url });
    await watched.until("closed");
    expect(watched.errors).toEqual([]);
    expect(watched.client.status).toEqual({ state: "closed", failures: 0, error: null, reason: "session-ended" });
    watched.clock.advance(600_000);
    await server.barrier();
    expect(server.requests).toHaveLength(1);
  });

  test.each(["TIMEOUT", "SLOW_CONSUMER", "SHUTTING_DOWN", "DISCONNECTED", "TOKEN_EXPIRED"])("after %s it comes back", async (code) => {
    const server = await serve({ ...ended("id:1\ndata:1\n\n", closingEvent(code)), headers: HUB }, stream("data:2\n\n"));
    const watched = connect({ url: server.url });
    await watched.again();
    await watched.receive(3);
    expect(watched.errors).toMatchObject([{ kind: "closing", code, retryable: true }]);
    expect(server.requests[1]?.headers).toMatchObject({ "last-event-id": "1" });
  });

  test("an error event of another server is an event like any other", async () => {
    const server = await serve(stream("event: error\ndata: oops\n\nevent:error\ndata:{\"x\":1}\n\ndata:1\n\n"), stream());
    const watched = connect({ url: server.url });
    await watched.receive(3);
    expect(watched.texts).toEqual(["oops", '{"x":1}', "1"]);
    server.end();
    await watched.until("reconnecting");
    expect(watched.errors).toMatchObject([{ kind: "network" }]);
  });

  test("a gap comes in its place, and its id is where the next attempt resumes", async () => {
    const gap = { from: `${EPOCH}-2`, to: `${EPOCH}-8`, missed: 7, reason: "evicted" };
    const server = await serve(
      broken(`id:${EPOCH}-1\ndata:1\n\nid:${EPOCH}-8\nevent:gap\ndata:${JSON.stringify(gap)}\n\n`),
      stream(`id:${EPOCH}-9\ndata:9\n\n`),
    );
    const watched = watch({ url: server.url });
    const gaps: unknown[] = [];
    watched.client.on("gap", (data) => gaps.push(data));
    watched.client.connect();
    await watched.again();
    await watched.receive(3);
    expect(watched.events.map(({ type }) => type)).toEqual(["message", "gap", "message"]);
    expect(gaps).toEqual([gap]);
    expect(server.requests[1]?.headers).toMatchObject({ "last-event-id": `${EPOCH}-8` });
  });

  test("a gap that leads back is told, and what follows it is delivered", async () => {
    const server = await serve(
      stream(`id:${EPOCH}-3\nevent:gap\ndata:{"reason":"unknown_id"}\n\nid:${EPOCH}-4\ndata:4\n\nid:${EPOCH}-5\ndata:5\n\n`),
    );
    const watched = connect({ url: server.url, lastEventId: `${EPOCH}-900` });
    await watched.receive(3);
    expect(watched.events.map(({ type, text }) => (type === "gap" ? "gap" : text))).toEqual(["gap", "4", "5"]);
    expect(watched.client.lastEventId).toBe(`${EPOCH}-5`);
  });

  test("events that a hub replays twice are delivered once", async () => {
    const event = (number: number): string => `id:${EPOCH}-${number}\ndata:${number}\n\n`;
    const server = await serve(broken(event(8), event(9), event(10)), stream(event(8), event(9), event(10), event(11)));
    const watched = connect({ baseUrl: server.url, sessionId: "s" });
    await watched.again();
    await watched.receive(4);
    expect(watched.texts).toEqual(["8", "9", "10", "11"]);
    expect(watched.client.lastEventId).toBe(`${EPOCH}-11`);
  });

  test("a new epoch begins with small numbers, and none is dropped", async () => {
    const server = await serve(stream(`id:${EPOCH}-99\ndata:a\n\nid:ba9876543210-1\ndata:b\n\nid:ba9876543210-2\ndata:c\n\n`));
    const watched = connect({ url: server.url });
    await watched.receive(3);
    expect(watched.texts).toEqual(["a", "b", "c"]);
  });

  test("ids of other servers are never taken for repeats", async () => {
    const server = await serve(stream("id:5\ndata:a\n\nid:5\ndata:b\n\nid:4\ndata:c\n\ndata:d\n\n",
      "id:202611211939-5\ndata:e\n\nid:202611211939-2\ndata:f\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(6);
    expect(watched.texts).toEqual(["a", "b", "c", "d", "e", "f"]);
  });
});
