import { describe, expect, test } from "vitest";
import type { AttemptContext, SSEClientOptions } from "../../src/types.ts";
import { startHub, startProxy, type RemoteHub } from "../kit/remote.ts";
import { startTokenHub } from "../kit/token-hub-real.ts";
import { connect, type Watched } from "../kit/watch.ts";

/** Time and page are the browser's own. */
const REAL: SSEClientOptions = { clock: undefined, page: undefined, replay: "all", sessionId: "s" };

const numbers = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, at) => String(from + at));
const texts = ({ events }: Watched): string[] =>
  events.filter(({ type }) => type === "message").map(({ data }) => data as string);

async function hasAll(watched: Watched, expected: string[]): Promise<void> {
  await expect.poll(() => texts(watched).length, { message: "events" }).toBeGreaterThanOrEqual(expected.length);
  expect(texts(watched)).toEqual(expected);
}

async function publishAll(hub: RemoteHub, all: string[]): Promise<void> {
  for (let at = 0; at < all.length; at += 10) await hub.publish("s", all.slice(at, at + 10));
}

describe("in Chromium, with a real hub of another origin", () => {
  test("a hub that is killed and restarted: every event once, one connection", async () => {
    const hub = await startHub();
    await publishAll(hub, numbers(1, 30));
    const watched = connect({ ...REAL, baseUrl: hub.url });
    await publishAll(hub, numbers(31, 60));
    await hasAll(watched, numbers(1, 60));
    await hub.kill();
    await watched.until("reconnecting");
    await hub.restart();
    await publishAll(hub, numbers(61, 90));
    await hasAll(watched, numbers(1, 90));
    expect(watched.events.filter(({ type }) => type === "gap").map(({ data }) => data as unknown)).toMatchObject([{ reason: "epoch" }]);
    await expect.poll(() => hub.subscribers()).toBe(1);
    watched.client.destroy();
    await expect.poll(() => hub.open()).toBe(0);
  });

  test("a token that expires is replaced without a gap, one that is revoked is the end", async () => {
    const hub = await startTokenHub();
    const asked: boolean[] = [];
    let last = "";
    const token = async ({ refresh }: AttemptContext): Promise<string> => {
      asked.push(refresh);
      // Only the first one is to expire.
      if (refresh || !last) last = await hub.mint(refresh ? 600 : undefined);
      return last;
    };
    const watched = connect({ ...REAL, baseUrl: hub.baseUrl, token });
    await watched.until("open");
    await hub.publish("s", "one");
    await watched.receive(1);
    await hub.expire(last);
    await expect.poll(() => asked).toEqual([false, true]);
    await hub.publish("s", "two");
    await hasAll(watched, ["one", "two"]);
    expect(watched.events.filter(({ type }) => type === "gap")).toEqual([]);
    await hub.revoke(last);
    await watched.until("error");
    expect(watched.client.status.error).toMatchObject({ kind: "auth", code: "TOKEN_REVOKED", retryable: false });
    expect(asked).toEqual([false, true]);
  });

  test("a proxy that cuts the connection over and over: every event once", async () => {
    const hub = await startHub();
    const proxy = await startProxy(hub);
    await proxy.cutAfter([100, 300, 50, 700, 10, 1_000, 200]);
    // Three streams in a row that are cut before a byte comes would bring long-polls, which nobody cuts here.
    const watched = connect({ ...REAL, baseUrl: proxy.url, enablePollingFallback: false });
    await publishAll(hub, numbers(1, 200));
    await hasAll(watched, numbers(1, 200));
    await expect.poll(() => proxy.cutsLeft()).toBe(0);
    await expect.poll(() => proxy.open()).toBe(1);
  });

  test("a proxy that keeps everything back: long-polls bring every event once, and streams come back", async () => {
    const hub = await startHub();
    const proxy = await startProxy(hub);
    await proxy.setMode("buffer-body");
    const watched = connect({ ...REAL, baseUrl: proxy.url, connectTimeout: 300, pollingInterval: 100 });
    await publishAll(hub, numbers(1, 10));
    await watched.until("polling");
    await hasAll(watched, numbers(1, 10));
    await publishAll(hub, numbers(11, 20));
    await hasAll(watched, numbers(1, 20));
    await proxy.setMode("pass");
    watched.client.reconnect();
    await publishAll(hub, numbers(21, 30));
    await hasAll(watched, numbers(1, 30));
    await expect.poll(() => proxy.open()).toBe(1);
  });

  test("a token and a cursor pass the preflight", async () => {
    const hub = await startHub();
    const [first] = await hub.publish("s", ["1", "2"]);
    const watched = connect({ ...REAL, baseUrl: hub.url, token: async () => "t", lastEventId: first });
    await hasAll(watched, ["2"]);
    expect(watched.errors).toEqual([]);
  });

  test("the hub's words and codes can be read", async () => {
    const hub = await startHub("--max-sessions", "1");
    const first = connect({ ...REAL, baseUrl: hub.url });
    await first.until("open");
    const second = connect({ ...REAL, baseUrl: hub.url, sessionId: "other" });
    await expect.poll(() => second.errors[0]).toMatchObject({ kind: "http", status: 503, code: "TOO_MANY_SESSIONS" });
    expect(second.errors[0]?.retryAfter).toBeGreaterThanOrEqual(1_000);
  });

  test("a hub that does not know the page's origin is a failure that is told", async () => {
    const hub = await startHub("--cors-origins", "https://elsewhere.example");
    const watched = connect({ ...REAL, baseUrl: hub.url });
    await watched.until("reconnecting");
    expect(watched.errors).toMatchObject([{ kind: "network" }]);
  });
});
