import type { Browser, Route } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ROWS_MAX } from "../src/journal/journal.ts";
import { askStats, startApp, type App } from "./kit/app.ts";
import { launch, visit, type Visit } from "./kit/browser.ts";

// One page through all of its life; each test goes on where the one before it ended.

let app: App;
let browser: Browser;
let it: Visit;

beforeAll(async () => {
  app = await startApp();
  browser = await launch();
  // So many rows that a gap is still among them when a test looks for it, however long a reconnection and its burst take.
  it = await visit(browser, `${app.page}?rows=${ROWS_MAX}`);
});

afterAll(async () => {
  await browser?.close();
  await app?.stop();
});

/** What is promised at any time. */
afterEach(async () => {
  if (it.page.isClosed()) return;
  expect({ lost: await it.figure("lost"), duplicates: await it.figure("duplicates") }).toEqual({ lost: 0, duplicates: 0 });
  expect(it.errors).toEqual([]);
});

const streams = async (): Promise<number> => (await askStats(app.hub)).ledger.subscription.live;
const opened = async (): Promise<number> => (await askStats(app.hub)).ledger.subscription.opened;

async function becomes(state: string): Promise<void> {
  await expect.poll(() => it.state()).toBe(state);
}

/** So many more updates come. */
async function flows(more = 10): Promise<void> {
  const before = await it.figure("received");
  await expect.poll(() => it.figure("received")).toBeGreaterThan(before + more);
}

test("goes live over one connection, in StrictMode", async () => {
  await becomes("open");
  await flows();
  expect(await it.part("last-id").textContent()).toMatch(/^\S+-\d+$/);
  expect(await opened()).toBe(1);
  expect(await streams()).toBe(1);
  await expect.poll(() => it.figure("readers")).toBe(1);
});

test("draws the network and the rate", async () => {
  expect(await it.part("node").count()).toBe(7);
  await it.page.locator('[data-testid="edge"][data-busy="true"]').first().waitFor();
  const n = Number(await it.part("network").getAttribute("data-n"));
  await expect.poll(async () => Number(await it.part("network").getAttribute("data-n"))).toBeGreaterThan(n);
  await expect.poll(() => it.figure("rate")).toBeGreaterThan(5);
  const line = await it.part("rate-line").getAttribute("d");
  await expect.poll(() => it.part("rate-line").getAttribute("d")).not.toBe(line);
});

test("moves nothing for who wants no motion", async () => {
  const moving = (): Promise<number> => it.page.evaluate(() => document.getAnimations().length);
  await expect.poll(moving).toBeGreaterThan(0);
  await it.page.emulateMedia({ reducedMotion: "reduce" });
  await expect.poll(moving).toBe(0);
  await it.page.emulateMedia({ reducedMotion: null });
});

test("holds the log to be read, and keeps on counting", async () => {
  await it.click("hold");
  const held = await it.rows();
  await flows();
  expect(await it.rows()).toEqual(held);
  await it.click("hold");
  await expect.poll(async () => (await it.rows()).at(-1)).not.toBe(held.at(-1));
});

test("a second reader comes and goes, and the connection is the same one", async () => {
  for (let round = 0; round < 3; round++) {
    await it.click("toggle-reader");
    await expect.poll(() => it.figure("reader-heard")).toBeGreaterThan(5);
    expect(await it.page.locator("#reader [data-state=open]").count()).toBe(1);
    await it.click("toggle-reader");
    await flows(2);
  }
  expect(await opened()).toBe(1);
  expect(await streams()).toBe(1);
});

test("a reader that left alone gets what it missed, and shares again", async () => {
  await it.click("toggle-reader");
  await expect.poll(() => it.figure("reader-heard")).toBeGreaterThan(0);
  const ahead = async (): Promise<number> => {
    // In one go, between two events.
    const [received, heard] = await it.page.evaluate(() =>
      ["received", "reader-heard"].map((name) => Number(document.querySelector(`[data-testid=${name}]`)?.textContent)),
    );
    return (received ?? 0) - (heard ?? 0);
  };
  const before = await ahead();
  await it.click("reader-leave");
  await flows();
  expect(await streams()).toBe(1);
  await it.click("reader-join");
  await expect.poll(ahead).toBe(before);
  await expect.poll(streams).toBe(1);
  await flows();
  await expect.poll(ahead).toBe(before);
});

test("disconnects all of the page, and goes on where it was", async () => {
  await it.click("disconnect");
  await becomes("idle");
  await expect.poll(streams).toBe(0);
  const { ledger } = await askStats(app.hub);
  expect(ledger.subscription.closed).toBe(ledger.subscription.opened);
  await it.click("connect");
  await becomes("open");
  await flows();
  expect(await streams()).toBe(1);
  expect(await it.figure("gaps")).toBe(0);
});

test("reconnects on demand", async () => {
  const before = await opened();
  await it.click("reconnect");
  await expect.poll(opened).toBe(before + 1);
  await becomes("open");
  await flows();
  await expect.poll(streams).toBe(1);
  expect(await it.figure("gaps")).toBe(0);
});

test("survives a hub that is killed, and shows the gap where it happened", async () => {
  const { pid } = (await askStats(app.hub)).process;
  /** By what the new hub answered: after some failures streams and long-polls take turns. */
  const answered = { stream: 0, poll: 0 };
  it.page.on("response", (response) => {
    const isStream = response.headers()["content-type"]?.startsWith("text/event-stream");
    if (response.ok() && /\/sessions\/[^/]+\/events/.test(response.url())) answered[isStream ? "stream" : "poll"]++;
  });
  process.kill(pid, "SIGKILL");
  // In one look: a moment later it may be open again.
  const isTold = (): Promise<boolean> =>
    it.page.evaluate(() => {
      const part = (name: string): HTMLElement | null => document.querySelector(`[data-testid=${name}]`);
      const { state, failures } = part("state")?.dataset ?? {};
      return state === "reconnecting" && Number(failures) > 0 && !!part("reason")?.textContent;
    });
  await expect.poll(isTold).toBe(true);
  await becomes("open");
  await flows();
  expect((await askStats(app.hub)).process.pid).not.toBe(pid);
  expect(answered.stream).toBe(1);
  expect(await opened()).toBe(1 + answered.poll);
  expect(await streams()).toBe(1);
  expect(await it.figure("gaps")).toBe(1);

  // In the log: numbers that go up without a hole, but where the gap is.
  const rows = await it.rows();
  const gap = rows.findIndex((row) => String(row).includes("(epoch)"));
  expect(gap).toBeGreaterThan(0);
  const numbers = (part: (number | string)[]): number[] => part.filter((row) => typeof row === "number");
  const [before, after] = [numbers(rows.slice(0, gap)), numbers(rows.slice(gap))];
  for (const side of [before, after]) {
    expect(side.length).toBeGreaterThan(0);
    expect(side).toEqual(side.map((_, index) => (side[0] ?? 0) + index));
  }
  expect(after[0]).toBeGreaterThan(before.at(-1) ?? Infinity);
});

test("polls where no stream gets through, and climbs back by itself", async () => {
  const block = (route: Route): Promise<void> =>
    route.request().headers()["accept"] === "text/event-stream" ? route.abort() : route.continue();
  await it.page.route("**/hub/sessions/*/events*", block);
  // Long-polls begin after some failures in a row, within seconds. Another click in between would begin with streams again.
  await it.click("reconnect");
  await becomes("polling");
  await flows();
  await it.page.unroute("**/hub/sessions/*/events*", block);
  // The client has tried a stream once more with the first long-poll, and tries it again after 30 s.
  await becomes("open");
  await flows();
  await expect.poll(streams).toBe(1);
});

test("says why it failed, keeps what it had, and tries again", async () => {
  const received = await it.figure("received");
  const problem = { status: 403, title: "Forbidden", detail: "not you", code: "FORBIDDEN" };
  const refuse = (route: Route): Promise<void> =>
    route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify(problem) });
  await it.page.route("**/hub/sessions/*/events*", refuse);
  await it.click("reconnect");
  await becomes("error");
  expect(await it.part("reason").textContent()).toContain("not you");
  expect(await it.figure("received")).toBeGreaterThanOrEqual(received);
  await expect.poll(streams).toBe(0);
  await it.page.unroute("**/hub/sessions/*/events*", refuse);
  await it.click("connect");
  await becomes("open");
  await flows();
  expect(await streams()).toBe(1);
});

test("knows that a session is over, and begins the next one with a gap", async () => {
  const gaps = await it.figure("gaps");
  await fetch(`${app.hub}/sessions/agents`, { method: "DELETE" });
  await becomes("closed");
  expect(await it.part("reason").textContent()).not.toBe("");
  // As long as the hub remembers that this epoch ended (`tombstone_ttl`, shortened here), it says so again: by a stream, which is
  // open until then.
  const received = await it.figure("received");
  await expect
    .poll(async () => {
      if ((await it.state()) === "closed") await it.click("connect");
      return it.figure("received");
    })
    .toBeGreaterThan(received + 10);
  expect(await it.state()).toBe("open");
  expect(await it.figure("gaps")).toBe(gaps + 1);
  await expect.poll(streams).toBe(1);
});

test("is steady: nothing but the log has moved", async () => {
  expect(await it.moved()).toEqual([]);
});

test("leaves nothing behind when it is closed", async () => {
  await it.page.close();
  await expect.poll(streams).toBe(0);
  await expect
    .poll(async () => {
      const { subscription, source, request } = (await askStats(app.hub)).ledger;
      // This question is a request, too.
      return [subscription.opened - subscription.closed, source.live, request.live - 1];
    })
    .toEqual([0, 0, 0]);
});

test("stops everything at Ctrl-C", async () => {
  const { pid } = (await askStats(app.hub)).process;
  expect(await app.stop()).toBe(0);
  expect(app.lines.at(-1)).toMatch(/^feed: \d+ updates published$/);
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  await expect(fetch(app.page)).rejects.toThrow();
});
