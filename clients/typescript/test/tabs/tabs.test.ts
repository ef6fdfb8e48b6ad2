import type { BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { startHub, startScripted, type RemoteHub } from "../kit/remote.ts";
import { startBrowser } from "./pages.ts";

// Real tabs: pages of one browser profile, each with the package as it is built.

let started: Awaited<ReturnType<typeof startBrowser>>;
let origin: string;
let context: BrowserContext;

interface Tab {
  page: Page;
  /** What its client has delivered, in order; gaps as `gap`. */
  texts(): Promise<string[]>;
  state(): Promise<string>;
}

beforeAll(async () => {
  started = await startBrowser();
  origin = started.origin;
});

afterAll(() => started.stop());

beforeEach(async () => {
  context = await started.browser.newContext();
});

// Before the check that no hub has a connection left.
afterEach(() => context.close());

/** A tab in which nothing has begun. */
async function load(): Promise<Page> {
  const page = await context.newPage();
  await page.goto(origin);
  await page.waitForFunction("globalThis.begin", undefined, { polling: 50 });
  return page;
}

async function begin(page: Page, hub: { readonly url: string }, name = "user", options: Record<string, unknown> = {}): Promise<Tab> {
  const asked = JSON.stringify({ baseUrl: hub.url, sessionId: "s", ...options });
  await page.evaluate(`begin("client", ${asked}, ${JSON.stringify(name)})`);
  const get = <T>(expression: string): Promise<T> => page.evaluate(expression) as Promise<T>;
  const tab: Tab = { page, texts: () => get("texts"), state: () => get("client.state") };
  await expect.poll(tab.state).toBe("open");
  return tab;
}

const open = async (hub: { readonly url: string }, name?: string, options?: Record<string, unknown>): Promise<Tab> =>
  begin(await load(), hub, name, options);

const hubFor = (): Promise<RemoteHub> => startHub("--cors-origins", origin);
const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => String(from + i));

test("eight tabs have one connection, and each gets every event once", async () => {
  const hub = await hubFor();
  const tabs: Tab[] = [];
  for (let i = 0; i < 8; i++) tabs.push(await open(hub));
  await hub.publish("s", numbers(0, 100));
  for (const tab of tabs) await expect.poll(tab.texts).toEqual(numbers(0, 100));
  expect(await hub.subscribers()).toBe(1);
  await context.close();
  await expect.poll(() => hub.subscribers()).toBe(0);
});

test("when the leading tab closes, another takes over without loss", async () => {
  const hub = await hubFor();
  const leader = await open(hub);
  const followers = [await open(hub), await open(hub)];
  await hub.publish("s", numbers(0, 10));
  for (const tab of [leader, ...followers]) await expect.poll(tab.texts).toEqual(numbers(0, 10));
  const closing = leader.page.close();
  // While nobody leads.
  await hub.publish("s", numbers(10, 20));
  await closing;
  await hub.publish("s", numbers(20, 30));
  for (const tab of followers) await expect.poll(tab.texts).toEqual(numbers(0, 30));
  await expect.poll(() => hub.subscribers()).toBe(1);
});

test("when the leading tab's client closes, another takes over without loss", async () => {
  const hub = await hubFor();
  const leader = await open(hub);
  const follower = await open(hub);
  await hub.publish("s", ["a"]);
  await expect.poll(follower.texts).toEqual(["a"]);
  await leader.page.evaluate("client.destroy()");
  await hub.publish("s", ["b"]);
  await expect.poll(follower.texts).toEqual(["a", "b"]);
  expect(await leader.texts()).toEqual(["a"]);
  await expect.poll(() => hub.subscribers()).toBe(1);
  await follower.page.evaluate("client.destroy()");
  await expect.poll(() => hub.subscribers()).toBe(0);
});

test("a crash of the leading tab is noticed at once", async () => {
  const hub = await hubFor();
  const leader = await open(hub);
  const follower = await open(hub);
  const session = await context.newCDPSession(leader.page);
  // Never answers: the page is gone before it could.
  session.send("Page.crash").catch(() => {});
  await hub.publish("s", ["a"]);
  await expect.poll(follower.texts).toEqual(["a"]);
  await expect.poll(() => hub.subscribers()).toBe(1);
});

test("a hub that dies under the leading tab comes back for all of them, with its gap", async () => {
  const hub = await hubFor();
  // However long the hub takes to begin again: they come back soon after, and by a stream. A tab that long-polls shares with
  // nobody, and would move on alone.
  const options = { enablePollingFallback: false, retryDelay: 100, maxRetryDelay: 500 };
  const tabs = [await open(hub, "user", options), await open(hub, "user", options)];
  await hub.publish("s", ["a"]);
  for (const tab of tabs) await expect.poll(tab.texts).toEqual(["a"]);
  await hub.restart();
  await hub.publish("s", ["b"]);
  for (const tab of tabs) await expect.poll(tab.texts).toEqual(["a", "gap", "b"]);
  await expect.poll(() => hub.subscribers()).toBe(1);
});

test("a tab with a cursor of its own gets what it missed from the leading tab", async () => {
  const hub = await hubFor();
  const leader = await open(hub);
  const [first = ""] = await hub.publish("s", ["a", "b", "c"]);
  // Sooner, the leading tab would not know that cursor.
  await expect.poll(leader.texts).toEqual(["a", "b", "c"]);
  const late = await open(hub, "user", { lastEventId: first });
  await expect.poll(late.texts).toEqual(["b", "c"]);
  expect(await hub.subscribers()).toBe(1);
});

test("a tab that wants more than the leading tab knows connects by itself", async () => {
  const hub = await hubFor();
  await hub.publish("s", ["before"]);
  await open(hub);
  const late = await open(hub, "user", { replay: "all" });
  await expect.poll(late.texts).toEqual(["before"]);
  expect(await hub.subscribers()).toBe(2);
});

test("tabs of different users do not share", async () => {
  const hub = await hubFor();
  await open(hub, "ann");
  await open(hub, "ben");
  expect(await hub.subscribers()).toBe(2);
});

test("two clients of one tab share as two tabs do", async () => {
  const hub = await hubFor();
  const tab = await open(hub);
  await tab.page.evaluate(`begin("second", client.options, "user", (globalThis.more = []))`);
  await expect.poll(() => tab.page.evaluate("second.state")).toBe("open");
  await hub.publish("s", ["a"]);
  await expect.poll(() => tab.page.evaluate("more")).toEqual(["a"]);
  expect(await tab.texts()).toEqual(["a"]);
  expect(await hub.subscribers()).toBe(1);
});

test("eight tabs that open at the same moment have one connection", async () => {
  const hub = await hubFor();
  const pages = await Promise.all(Array.from({ length: 8 }, () => load()));
  const tabs = await Promise.all(pages.map((page) => begin(page, hub)));
  await hub.publish("s", ["a"]);
  for (const tab of tabs) await expect.poll(tab.texts).toEqual(["a"]);
  expect(await hub.subscribers()).toBe(1);
});

test("each tab that asks for history gets it, and shares from then on", async () => {
  const hub = await hubFor();
  await hub.publish("s", ["a", "b"]);
  const tabs = [await open(hub, "user", { replay: "all" }), await open(hub, "user", { replay: "all" })];
  await hub.publish("s", ["c"]);
  for (const tab of tabs) await expect.poll(tab.texts).toEqual(["a", "b", "c"]);
  for (const tab of tabs) await tab.page.evaluate("client.reconnect()");
  await expect.poll(() => hub.subscribers()).toBe(1);
  await hub.publish("s", ["d"]);
  for (const tab of tabs) await expect.poll(tab.texts).toEqual(["a", "b", "c", "d"]);
});

test("where there are locks and none is to be had, each tab has its own connection", async () => {
  const hub = await hubFor();
  const page = await load();
  await page.evaluate(`navigator.locks.request = () => Promise.reject(new DOMException("no", "SecurityError"))`);
  const tab = await begin(page, hub);
  await hub.publish("s", ["a"]);
  await expect.poll(tab.texts).toEqual(["a"]);
});

test("row 22: in a following tab, too, failures are 0 again once something came", async () => {
  const hub = await hubFor();
  // However long the hub takes to begin again, they come back soon after.
  const options = { retryDelay: 100, maxRetryDelay: 500 };
  const [leader, follower] = [await open(hub, "user", options), await open(hub, "user", options)];
  await hub.shutDown();
  for (const tab of [leader, follower]) await expect.poll(tab.state).toBe("reconnecting");
  await hub.restart();
  for (const tab of [leader, follower]) await expect.poll(tab.state).toBe("open");
  await hub.publish("s", numbers(0, 5));
  for (const tab of [leader, follower]) {
    await expect.poll(async () => (await tab.texts()).slice(-5)).toEqual(numbers(0, 5));
    expect(await tab.page.evaluate("client.status.failures")).toBe(0);
  }
});

test("row 23: comments reach following tabs, as they came, and nothing else does as one", async () => {
  const server = await startScripted({
    headers: { "content-type": "text/event-stream" },
    body: [":first\n\n", { wait: "more" }, ":one\n:two\n\ndata:1\n\n", { wait: "end" }, "data:2\n\n", ":three\n\n"],
    then: "hang",
  });
  const [leader, follower] = [await open(server, "user", { url: server.url }), await open(server, "user", { url: server.url })];
  const comments = (tab: Tab): Promise<string[]> => tab.page.evaluate("comments") as Promise<string[]>;
  await server.release("more");
  for (const tab of [leader, follower]) await expect.poll(tab.texts).toEqual([1]);
  await server.release("end");
  await expect.poll(() => comments(leader)).toEqual(["first", "one", "two", "three"]);
  await expect.poll(() => comments(follower)).toEqual(["one", "two", "three"]);
});

test("a token that ends is the leading tab's own: the others come back with theirs", async () => {
  const headers = { "content-type": "text/event-stream", "heartbeat-interval": "15" };
  const revoked = 'event: error\ndata: {"error":"revoked","code":"TOKEN_REVOKED"}\n\n';
  const server = await startScripted(
    { headers, body: [":\n\n", { wait: "more" }, "id: a\ndata: 1\n\n", { wait: "end" }, revoked] },
    { headers, body: ["id: b\ndata: 2\n\n"], then: "hang" },
  );
  const options = { url: server.url, retryDelay: 100 };
  const leader = await open(server, "user", { ...options, token: "one" });
  const follower = await open(server, "user", { ...options, token: "two" });
  await server.release("more");
  await expect.poll(follower.texts).toEqual([1]);
  await server.release("end");
  await expect.poll(leader.state).toBe("error");
  expect(await leader.page.evaluate("client.status.error.code")).toBe("TOKEN_REVOKED");
  await expect.poll(follower.texts).toEqual([1, 2]);
  const asked = (await server.requests()).map(({ headers }) => [headers["authorization"], headers["last-event-id"]]);
  expect(asked).toEqual([["Bearer one", undefined], ["Bearer two", "a"]]);
});
