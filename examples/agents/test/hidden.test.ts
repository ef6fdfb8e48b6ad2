import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { expectNothingLeft, startApp, type App } from "./kit/app.ts";
import { expectWhole, openIn, type Tab } from "./kit/browser.ts";
import { launchTabs, type Tabs } from "./kit/tabs.ts";

let app: App;
let tabs: Tabs;

beforeAll(async () => {
  app = await startApp();
  tabs = await launchTabs();
});
afterEach(async () => {
  for (const page of tabs.context.pages().slice(1)) await page.close();
  await expectNothingLeft(app);
});
afterAll(async () => {
  await tabs?.close();
  await app?.stop();
});

/** Opens another tab in front. */
async function hide(tab: Tab): Promise<void> {
  const other = await tabs.context.newPage();
  await other.bringToFront();
  await expect.poll(() => tab.page.evaluate(() => document.visibilityState)).toBe("hidden");
}

async function show(tab: Tab): Promise<void> {
  await tab.page.bringToFront();
  await expect.poll(() => tab.page.evaluate(() => document.visibilityState)).toBe("visible");
}

/** The requests of the run's stream from now on: the ids that they resume after. */
function streamsOf(tab: Tab): string[] {
  const streams: string[] = [];
  tab.page.on("request", (request) => {
    if (request.method() === "GET" && request.url().includes("/run-")) streams.push(request.headers()["last-event-id"] ?? "");
  });
  return streams;
}

test("a tab that is hidden keeps its stream, and has everything already when it is shown again", async () => {
  const tab = await openIn(tabs.context, app.page, "ada");
  await tab.start("Hide me", 120);
  await tab.hasText(100);
  const streams = streamsOf(tab);
  await hide(tab);
  await tab.hasText(300);
  await expectWhole(tab);
  await show(tab);
  expect(streams).toEqual([]);
});

test("a tab that is hidden and frozen for a minute goes on from where it was when it is shown again", async () => {
  const tab = await openIn(tabs.context, app.page, "ada");
  await tab.page.clock.install();
  await tab.page.reload();
  // It is at work for longer than all that is done to the tab.
  await tab.start("Freeze me", 600);
  await tab.hasText(100);
  await tab.page.evaluate(() => {
    for (const type of ["freeze", "resume"]) document.addEventListener(type, () => (document.title += ` ${type}`));
  });
  const streams = streamsOf(tab);
  await hide(tab);
  // What a browser does to a tab that nobody has looked at for a while: no timer and no handler runs.
  const cdp = await tabs.context.newCDPSession(tab.page);
  await cdp.send("Page.setWebLifecycleState", { state: "frozen" });
  await expect.poll(() => tab.page.title()).toBe("Agents freeze");
  const n = Number(await tab.run("n"));
  await expect.poll(async () => (await tab.keptAt(app.service)).n).toBeGreaterThan(n + 30);
  expect(Number(await tab.run("n"))).toBeLessThan(n + 5);
  await cdp.send("Page.setWebLifecycleState", { state: "active" });
  // To the page a minute has passed, more than the 45 s of silence after which it doubts a stream.
  await tab.page.clock.fastForward(60_000);
  await show(tab);
  await expectWhole(tab);
  expect(await tab.page.title()).toBe("Agents freeze resume");
  // Whatever stream it was in, none began anew.
  expect(streams).not.toContain("");
  expect(await tab.run("gaps")).toBe("0");
});
