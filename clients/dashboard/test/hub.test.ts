import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { buildHub, startHub } from "../../../examples/react-page/scripts/hub.mjs";
import { ASSETS } from "./kit/assets.ts";
import { eventsOf, openReader, publishTo } from "./kit/crowd.mjs";
import { launch, visit, type Visit } from "./kit/browser.ts";

declare global {
  /** What the state of the stream became, in the page. */
  var states: string[];
}

let browser: Browser;
let hub: Awaited<ReturnType<typeof startHub>>;
let it: Visit;

beforeAll(async () => {
  const binary = process.env["WATERTIGHT_BIN"] ?? (await buildHub({ release: false }));
  // Nobody is at that address: logs have a source that is down.
  const settings = { WATERTIGHT_REDIS_URL: "redis://127.0.0.1:1", WATERTIGHT_LOGS_SOURCE: "redis_pubsub" };
  hub = await startHub({ binary, settings, log: () => {} });
  browser = await launch();
}, 1_800_000);
afterAll(async () => {
  await browser?.close();
  await hub?.stop();
});

beforeEach(async (context) => {
  it = await visit(browser, `${hub.url}/#/sessions/${encodeURIComponent(nameOf(context.task.name))}`);
});
afterEach(async () => {
  await it.context.close();
  // By the hub's own account, too.
  await expect.poll(live).toBe(0);
  expect(it.errors).toEqual([]);
});

/** A session of its own for each test, as hostile as a name may be. */
const nameOf = (test: string): string => `<b>${test}</b> & \u202ex?#%`;
const part = (name: string) => it.page.getByTestId(name);
const state = (): Promise<string | null> => part("state").getAttribute("data-state");

interface HubStats {
  readonly ledger: { readonly subscription: { readonly live: number } };
  readonly closesByReason: Readonly<Record<string, number>>;
}

const stats = async (): Promise<HubStats> => (await (await fetch(`${hub.url}/stats`)).json()) as HubStats;
const live = async (): Promise<number> => (await stats()).ledger.subscription.live;

/** The hub is started again by itself. */
function kill(): void {
  const pid = hub.pid();
  if (pid === undefined) throw new Error("the hub is not there");
  process.kill(pid, "SIGKILL");
}

async function publish(type: string, data: string): Promise<void> {
  await part("publish-type").fill(type);
  await part("publish-data").fill(data);
  await part("publish").click();
}

test("the hub serves the page itself, by a strict policy", async () => {
  const answer = await fetch(`${hub.url}/`);
  const policy = answer.headers.get("content-security-policy");
  expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';.*require-trusted-types-for 'script'$/);
  expect(policy).not.toContain("unsafe");
  expect(await answer.text()).toBe(await readFile(join(ASSETS, "index.html"), "utf8"));
  // What the browser says against it is among the errors of the visit.
  await expect.poll(state).toBe("open");
});

test("what is published by hand comes to the page, and is text", async () => {
  await expect.poll(state).toBe("open");
  await publish("order", '{"note": "<img src=x>", "lines": [1, 2]}');
  await expect.poll(() => part("event").count()).toBe(1);
  await publish("note", "no JSON \u202e");
  await expect.poll(() => part("event").first().innerText()).toContain("no JSON ‹U+202E›");
  await part("event").last().locator("summary").click();
  await expect.poll(() => part("event").last().locator("pre").textContent()).toContain('{\n  "note": "<img src=x>",');
  expect(await it.page.locator("img").count()).toBe(0);
  await expect.poll(() => part("summary").innerText()).toContain("open");
});

test("who reads a session is listed, and closed by hand", async () => {
  await expect.poll(state).toBe("open");
  await expect.poll(() => part("connection").count()).toBe(1);
  const name = nameOf(expect.getState().currentTestName ?? "");
  const ended = new AbortController();
  const other = await fetch(`${hub.url}/sessions/${encodeURIComponent(name)}/events`, { signal: ended.signal });
  expect(other.status).toBe(200);
  await expect.poll(() => part("connection").count()).toBe(2);
  ended.abort();
  await expect.poll(() => part("connection").count()).toBe(1);
  await part("close").click();
  await part("close-yes").click();
  await expect.poll(async () => (await stats()).closesByReason["DISCONNECTED"]).toBe(1);
});

test("a session is ended, and deleted", async () => {
  await expect.poll(state).toBe("open");
  await publish("test", "1");
  await expect.poll(() => part("event").count()).toBe(1);
  await expect.poll(() => part("end").isEnabled()).toBe(true);
  await part("end").click();
  await part("end-yes").click();
  await expect.poll(state).toBe("closed");
  await expect.poll(() => part("summary").innerText()).toContain("ended");
  await part("delete").click();
  await part("delete-yes").click();
  await it.page.getByText("Really?").waitFor();
  await part("delete-yes").click();
  await it.page.getByText("The hub has no such session (any more).").waitFor();
});

test("the services of the hub are shown with their figures, and its stream is given back", async () => {
  await part("page-services").click();
  await expect.poll(() => part("service").first().getAttribute("data-id")).toBe("host");
  await expect.poll(() => part("figure-memoryBytes").first().locator("dd").innerText()).toMatch(/^[\d.,]+ [KMGT]iB$/);
  await expect.poll(live).toBe(1);
  await part("page-access").click();
  await expect.poll(live).toBe(0);
});

test("the figures of the hub are shown live, and its sessions are found by their names", async () => {
  const name = nameOf(expect.getState().currentTestName ?? "");
  await expect.poll(state).toBe("open");
  await publish("test", "1");
  await expect.poll(() => part("event").count()).toBe(1);
  await part("page-overview").click();
  await expect.poll(() => part("figure-subscribers").textContent()).toBe("1");
  expect(await part("ledger-mark").textContent()).toBe("✓ adds up");
  // A rate needs a second sample, and there is one a second.
  await expect.poll(() => part("figure-out").textContent()).toMatch(/^[\d.,]+\/s$/);
  // The latency is that of the last second: something is delivered until it has been seen.
  const reader = (await openReader(hub.url, eventsOf(name))).resume();
  onTestFinished(() => void reader.destroy());
  await expect
    .poll(async () => {
      await publishTo(hub.url, name, 1);
      return part("figure-p99").textContent();
    })
    .toMatch(/^[\d.,]+ m?s$/);
  reader.destroy();
  await part("page-sessions").click();
  await part("contains").fill(name);
  await part("sort-name").click();
  await expect.poll(() => part("matched").textContent()).toMatch(/^page 1, 1 found of \d+$/);
});

test("very many sessions are searched, sorted and read a page at a time", async () => {
  const of = Array.from({ length: 250 }, (_, n) => `many/${String(n).padStart(3, "0")}`);
  for (const session of of) {
    const answer = await fetch(`${hub.url}/sessions/${encodeURIComponent(session)}/events`, { method: "POST", body: "x".repeat(Number(session.slice(5)) + 1) });
    expect(answer.ok).toBe(true);
  }
  await part("page-sessions").click();
  await part("contains").fill("many/");
  await part("sort-bytes").click();
  await expect.poll(() => part("matched").textContent()).toMatch(/^page 1, 250 found of \d+$/);
  const seen: string[] = [];
  for (const [page, rows] of [100, 100, 50].entries()) {
    if (page) await part("next").click();
    await expect.poll(() => part("matched").textContent()).toContain(`page ${page + 1},`);
    await expect.poll(() => it.page.getByRole("region", { name: "Sessions" }).getAttribute("aria-busy")).toBe("false");
    expect(await part("session").count()).toBe(rows);
    seen.push(...(await part("session").locator("th").allInnerTexts()));
  }
  // The largest first, and none twice or not at all.
  expect(seen).toEqual(of.toReversed());
  expect(await part("next").isEnabled()).toBe(false);
});

test("a source that is down is marked, with its breaker, its last error, and since when", async () => {
  const ended = new AbortController();
  onTestFinished(() => ended.abort());
  expect((await fetch(`${hub.url}/deployments/build-1/logs/stream`, { signal: ended.signal })).status).toBe(200);
  await part("page-sources").click();
  const row = it.page.getByRole("row").filter({ hasText: "deployments/build-1/logs" });
  await expect.poll(() => row.getAttribute("data-bad")).toBe("true");
  const since = /^\d+ (s|min).* ago$/;
  expect(await row.locator("td").allInnerTexts()).toEqual(["logs", "waiting", "closed", expect.stringMatching(since), "1", "Connection refused (os error 111)"]);
  ended.abort();
});

test("the services' panel says nothing against a hub that was killed", async () => {
  await part("page-services").click();
  await expect.poll(() => part("service").first().getAttribute("data-id")).toBe("host");
  const pid = hub.pid();
  kill();
  await expect.poll(() => hub.pid()).not.toBe(pid);
  await expect.poll(live).toBe(1);
});

test("the plots are broken where the hub was away", async () => {
  await part("page-overview").click();
  const plot = (what: string): Promise<number> => part("plot-memory").getAttribute(`data-${what}`).then(Number);
  await expect.poll(() => plot("points")).toBeGreaterThan(1);
  // A slow machine may have made some: a hub that samples late leaves a hole, too.
  const before = await plot("holes");
  kill();
  await it.page.getByText("started again once").waitFor({ timeout: 60_000 });
  expect(await plot("holes")).toBeGreaterThan(before);
  await expect.poll(state).toBe("open");
  expect(await part("ledger-mark").textContent()).toBe("✓ adds up");
});

test("a hub that dies is told from one that is there, and what came before it stays", async () => {
  await expect.poll(state).toBe("open");
  await publish("test", "1");
  await expect.poll(() => part("event").count()).toBe(1);
  await part("state").evaluate((element) => {
    globalThis.states = [];
    new MutationObserver(() => globalThis.states.push((element as HTMLElement).dataset["state"] ?? "")).observe(element, { attributes: true });
  });
  kill();
  // The new hub knows nothing of what was: that is said where it is missing.
  await expect.poll(() => part("event").first().getAttribute("data-gap")).toBe("true");
  expect(await part("event").count()).toBe(2);
  await expect.poll(state).toBe("open");
  expect(await it.page.evaluate(() => globalThis.states)).toContain("reconnecting");
});
