import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { buildHub, startHub } from "../../../examples/react-page/scripts/hub.mjs";
import { launch, visit, type Visit } from "./kit/browser.ts";
import { startFront, type Front } from "./kit/front.ts";

declare global {
  /** What the state of the stream became, in the page. */
  var states: string[];
}

let browser: Browser;
let hub: Awaited<ReturnType<typeof startHub>>;
let front: Front;
let it: Visit;

beforeAll(async () => {
  const binary = process.env["WATERTIGHT_BIN"] ?? (await buildHub({ release: false }));
  hub = await startHub({ binary, log: () => {} });
  front = await startFront(hub.url);
  browser = await launch();
}, 1_800_000);
afterAll(async () => {
  await browser?.close();
  await front?.stop();
  await hub?.stop();
});

beforeEach(async (context) => {
  it = await visit(browser, `${front.url}#/sessions/${encodeURIComponent(nameOf(context.task.name))}`);
});
afterEach(async () => {
  expect(it.errors).toEqual([]);
  await it.context.close();
  // By the hub's own account, too.
  await expect.poll(live).toBe(0);
});

/** A session of its own for each test, as hostile as a name may be. */
const nameOf = (test: string): string => `<b>${test}</b> & \u202ex?#%`;
const part = (name: string) => it.page.getByTestId(name);
const state = (): Promise<string | null> => part("state").getAttribute("data-state");

async function live(): Promise<number> {
  const answer = await fetch(`${hub.url}/stats`);
  const { ledger } = (await answer.json()) as { ledger: { subscription: { live: number } } };
  return ledger.subscription.live;
}

async function publish(type: string, data: string): Promise<void> {
  await part("publish-type").fill(type);
  await part("publish-data").fill(data);
  await part("publish").click();
}

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
  await part("page-sessions").click();
  await part("contains").fill(name);
  await part("sort-name").click();
  await expect.poll(() => part("matched").textContent()).toMatch(/^page 1, 1 found of \d+$/);
});

test("a hub that dies is told from one that is there, and what came before it stays", async () => {
  await expect.poll(state).toBe("open");
  await publish("test", "1");
  await expect.poll(() => part("event").count()).toBe(1);
  await part("state").evaluate((element) => {
    globalThis.states = [];
    new MutationObserver(() => globalThis.states.push((element as HTMLElement).dataset["state"] ?? "")).observe(element, { attributes: true });
  });
  const pid = hub.pid();
  if (pid === undefined) throw new Error("the hub is not there");
  process.kill(pid, "SIGKILL");
  // The new hub knows nothing of what was: that is said where it is missing.
  await expect.poll(() => part("event").first().getAttribute("data-gap")).toBe("true");
  expect(await part("event").count()).toBe(2);
  await expect.poll(state).toBe("open");
  expect(await it.page.evaluate(() => globalThis.states)).toContain("reconnecting");
});
