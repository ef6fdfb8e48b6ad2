import { expect, test } from "vitest";
import type { Watch } from "../src/api.ts";
import { expectWhole, open, openIn } from "./kit/browser.ts";
import { onStage, type Stage } from "./kit/stage.ts";

let app: Stage["app"];
let browser: Stage["browser"];
// So slow that the middle of a run is not over before a test is there, and hardly slower: most tests wait for its end.
onStage({ PACE: "2" }, (stage) => ({ app, browser } = stage));

test("a run is seen as it happens: progress, tools, text, and its end", async () => {
  const tab = await open(browser, app.page, "ada");
  const toolStates = await tab.toolStatesFromNowOn();
  await tab.start("Who wrote the first program?", 120);
  await tab.hasText(20);
  expect(await tab.run("status")).toBe("running");
  // The text may be there by the snapshot already.
  await expect.poll(() => tab.state("run")).toBe("open");
  expect(await tab.part("label").textContent()).toBe("Writing the answer");
  const early = await tab.text();
  await tab.hasText(early.length + 100);
  expect((await tab.text()).startsWith(early)).toBe(true);
  await expectWhole(tab);
  const states = await tab.part("tool").evaluateAll((tools) => tools.map((tool) => (tool as HTMLElement).dataset["state"]));
  expect(states).toEqual(["answered", "answered", "answered"]);
  expect(await toolStates()).toEqual(expect.arrayContaining(["working", "answered"]));
  expect(await tab.part("end").textContent()).toContain("This run is done.");
  // Live, and not by snapshots.
  expect(Number(await tab.run("applied"))).toBeGreaterThan(100);
  expect(await tab.run("gaps")).toBe("0");
  await expect.poll(() => tab.part("row").first().getAttribute("data-status")).toBe("done");
});

test("a reload in the middle of the text goes on without a hole", async () => {
  const tab = await open(browser, app.page, "ada");
  await tab.start("Reload me", 120);
  for (const length of [40, 120, 220]) {
    await tab.hasText(length);
    const before = await tab.text();
    await tab.page.reload();
    await tab.hasText(before.length);
    expect((await tab.text()).startsWith(before)).toBe(true);
  }
  await expectWhole(tab);
  expect(Number(await tab.run("applied"))).toBeGreaterThan(0);
});

test("a second tab in the middle of the text shows the same, from the beginning on", async () => {
  const first = await open(browser, app.page, "ada");
  await first.start("Watch me twice", 120);
  await first.hasText(100);
  const second = await openIn(first.page.context(), first.page.url(), "ada");
  await second.hasText(100);
  expect(await second.run("status")).toBe("running");
  await Promise.all([expectWhole(first), expectWhole(second)]);
  expect(await second.text()).toBe(await first.text());
  expect(Number(await second.run("applied"))).toBeGreaterThan(0);
});

test("a network that is cut while the text goes on is made good from where it was", async () => {
  const tab = await open(browser, app.page, "ada");
  await tab.start("Cut me off", 120);
  await tab.hasText(100);
  app.cutNetwork();
  await expect.poll(() => tab.state("run")).toBe("reconnecting");
  expect(await tab.part("run-words").textContent()).toContain("Reconnecting");
  const n = Number(await tab.run("n"));
  // The agent works on meanwhile: asked from here, not from the page.
  await expect.poll(async () => (await tab.keptAt(app.service)).n).toBeGreaterThan(n + 20);
  expect(Number(await tab.run("n"))).toBe(n);
  app.mendNetwork();
  await expectWhole(tab);
  expect(await tab.run("gaps")).toBe("0");
});

test("another user's run is refused in words, and the list shows nobody else's", async () => {
  const ada = await open(browser, app.page, "ada");
  await ada.start("Mine alone", 120);
  const grace = await open(browser, ada.page.url(), "grace");
  await expect.poll(() => grace.state("run")).toBe("refused");
  expect(await grace.part("run-words").textContent()).toBe("This run belongs to somebody else.");
  expect(await grace.part("text").count()).toBe(0);
  await expect.poll(() => grace.state("list")).toBe("open");
  expect(await grace.part("row").count()).toBe(0);
  await grace.page.goto(`${app.page}/#/runs/none`);
  await expect.poll(() => grace.part("run-words").textContent()).toBe("There is no such run.");
});

test("the token that a page gets opens this run's stream and no other, and publishes nothing", async () => {
  const ada = await open(browser, app.page, "ada");
  const own = await ada.start("Open this", 120);
  const { url, token } = await ada.page.evaluate(
    async (of): Promise<Watch<unknown>> => (await fetch(`/api/runs/${of}/watch`)).json(),
    own,
  );
  const grace = await open(browser, app.page, "grace");
  const others = await grace.start("Not this", 40);
  const headers = { authorization: `Bearer ${token}`, accept: "application/json" };
  const statusOf = async (address: string, init: RequestInit = {}): Promise<number> =>
    (await fetch(address, { headers: { ...headers, ...(init.body ? { "content-type": "text/plain" } : {}) }, ...init })).status;
  const address = String(url);
  expect(await statusOf(`${address}?wait=0`)).toBe(200);
  expect(await statusOf(address.replace(own, others) + "?wait=0")).toBe(403);
  expect(await statusOf(address.replace(`run-${own}`, "runs-grace") + "?wait=0")).toBe(403);
  expect(await statusOf(address, { method: "POST", body: "forged" })).toBe(403);
  expect((await fetch(`${address}?wait=0`, { headers: { accept: "application/json" } })).status).toBe(401);
});

test("an ended run says so, also to who comes late, and asks the hub for nothing", async () => {
  const tab = await open(browser, app.page, "ada");
  const id = await tab.start("End me", 40);
  await expectWhole(tab);
  const text = await tab.text();
  const asked: string[] = [];
  tab.page.on("request", (request) => asked.push(request.url()));
  await tab.page.reload();
  await expectWhole(tab);
  expect(await tab.text()).toBe(text);
  expect(await tab.part("run-words").textContent()).toBe("Over: nothing more will come.");
  expect(asked.filter((url) => url.includes(`run-${id}`))).toEqual([]);
});

test("a run whose tool fails ends as failed, and says why", async () => {
  const tab = await open(browser, app.page, "ada");
  await tab.start("Please fail now", 40);
  await expect.poll(() => tab.run("status")).toBe("failed");
  expect(await tab.part("end").textContent()).toBe("This run is failed. It gave up: the tool “search” gave no answer.");
  expect(await tab.part("tool").first().getAttribute("data-state")).toBe("failed");
  await expect.poll(() => tab.part("row").first().getAttribute("data-status")).toBe("failed");
});

test("leaving a run gives its stream back, and the page keeps one stream for the list however often that happens", async () => {
  const tab = await open(browser, app.page, "ada");
  const live = async (): Promise<number> => (await app.stats()).ledger.subscription.live;
  const id = await tab.start("Come and go", 600);
  for (let round = 0; round < 5; round++) {
    await expect.poll(live).toBe(2);
    await tab.page.evaluate(() => (location.hash = ""));
    await tab.part("run").waitFor({ state: "detached" });
    // The client keeps a connection for a second, for the next page that wants it.
    await expect.poll(live).toBe(1);
    await tab.page.evaluate((of) => (location.hash = `#/runs/${of}`), id);
    await expect.poll(() => tab.state("run")).toBe("open");
  }
  expect(tab.errors).toEqual([]);
});
