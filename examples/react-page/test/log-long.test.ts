import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, visit, type Visit } from "./kit/browser.ts";
import { startPage } from "./kit/page.ts";
import { startStandIn, type StandIn } from "./kit/stand-in.ts";

// A log of 100,000 lines; each test goes on where the one before it ended.

const PATH = "/deployments/long/logs/stream";
const LINES = 100_000;
/** Elements of the whole page, whatever the log: some sixty rows of some ten each, and what is around them. */
const ELEMENTS_MAX = 1_500;

let browser: Browser;
let hub: StandIn;
let page: Awaited<ReturnType<typeof startPage>>;
let it: Visit;

beforeAll(async () => {
  hub = await startStandIn();
  page = await startPage(hub.url);
  browser = await launch();
  it = await visit(browser, `${page.address}?deployment=long#logs`);
});

afterAll(async () => {
  await browser?.close();
  await page?.stop();
  await hub?.stop();
});

const send = (from: number, to: number): void => {
  for (let n = from; n <= to; n++) {
    hub.send(PATH, "log", {
      line: n,
      stream: "stdout",
      at: n,
      text: `\x1b[32m   Compiling\x1b[0m crate-${n} v1.0.${n} \x1b[1mof many\x1b[0m`,
    });
  }
};
const range = async (): Promise<number[]> => [
  Number(await it.part("log-list").getAttribute("data-first")),
  Number(await it.part("log-list").getAttribute("data-next")),
];
const elements = (): Promise<number> => it.page.evaluate(() => document.querySelectorAll("*").length);

test("takes 100,000 lines, and the page stays small", async () => {
  await expect.poll(hub.streams).toBe(1);
  send(1, LINES);
  await expect.poll(async () => (await range())[1]).toBe(LINES);
  expect(await range()).toEqual([0, LINES]);
  expect(await elements()).toBeLessThan(ELEMENTS_MAX);
  expect(await it.page.locator(".log-row").last().innerText()).toContain(`crate-${LINES}`);
});

test("scrolls from top to bottom, and every frame has its lines", async () => {
  const { frames, empty, most, ended } = await it.page.evaluate(async () => {
    const list = document.querySelector(".log-list") as HTMLElement;
    const frame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));
    list.scrollTop = 0;
    await frame();
    let [frames, empty, most] = [0, 0, 0];
    const step = list.scrollHeight / 200;
    for (; list.scrollTop + list.clientHeight < list.scrollHeight - 1; frames++) {
      list.scrollTop += step;
      // The scroll event comes with the next frame, before our callback: what is there then is what is painted.
      await frame();
      const { top, left, height } = list.getBoundingClientRect();
      const isRow = (y: number): boolean => !!document.elementFromPoint(left + 60, y)?.closest(".log-row");
      if (![top + 15, top + height / 2, top + height - 15].every(isRow)) empty++;
      most = Math.max(most, document.querySelectorAll("*").length);
    }
    return { frames, empty, most, ended: list.querySelector(".log-rows")?.lastElementChild?.textContent };
  });
  expect(frames).toBeGreaterThanOrEqual(190);
  expect(empty).toBe(0);
  expect(most).toBeLessThan(ELEMENTS_MAX);
  expect(ended).toContain(`crate-${LINES}`);
});

test.each([
  ["with a wheel", 300],
  ["in jumps", 10_000],
])("scrolls %s, a frame in bounded time", async (_, step) => {
  const [median = Infinity, late = Infinity] = await it.page.evaluate(async (step) => {
    const list = document.querySelector(".log-list") as HTMLElement;
    const frame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));
    list.scrollTop = 0;
    const times: number[] = [];
    for (let last = await frame(); times.length < 200;) {
      list.scrollTop += step;
      const now = await frame();
      times.push(now - last);
      last = now;
    }
    times.sort((a, b) => a - b);
    return [times[100], times[190]];
  }, step);
  console.log(`${step} px a frame: half of the frames within ${median.toFixed(1)} ms, 95 % within ${late.toFixed(1)} ms`);
  // It takes one frame of 16.7 ms. The limit is far from that, because machines that test have few cores, and still
  // finds a list that draws all of its lines.
  expect(median).toBeLessThan(100);
});

test("keeps the line under one's eyes where it is while the oldest go, and says how many went", async () => {
  await it.part("log-list").evaluate((list) => (list.scrollTop = list.scrollHeight / 2));
  await expect.poll(() => it.part("log-follow").getAttribute("aria-pressed")).toBe("false");
  const top = (): Promise<string | undefined> =>
    it.part("log-list").evaluate((list) => {
      const { top, left } = list.getBoundingClientRect();
      return document.elementFromPoint(left + 60, top + 15)?.closest(".log-row")?.textContent ?? "";
    });
  await expect.poll(top).toMatch(/crate-/);
  const before = await top();
  send(LINES + 1, LINES + 1_000);
  await expect.poll(async () => (await range())[1]).toBe(LINES + 1_000);
  expect(await range()).toEqual([1_000, LINES + 1_000]);
  expect(await top()).toBe(before);
  expect(await it.part("log-counts").innerText()).toBe("101,000 lines, the oldest 1,000 rows let go");
});

test("searches all of them, and finds", async () => {
  const begun = Date.now();
  await it.part("log-search").fill(`crate-${LINES} `);
  await expect.poll(() => it.part("log-found").innerText()).toBe("– of 1");
  expect(Date.now() - begun).toBeLessThan(10_000);
  await it.part("log-search").press("Enter");
  expect(await it.page.locator('.log-row[aria-selected="true"]').innerText()).toContain(`crate-${LINES} `);
});

test("holds no more memory for twice as many lines", async () => {
  const session = await it.page.context().newCDPSession(it.page);
  const heap = async (): Promise<number> => {
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    return usedSize;
  };
  await it.part("log-search").fill("");
  const before = await heap();
  send(LINES + 1_001, 2 * LINES);
  await expect.poll(async () => (await range())[1]).toBe(2 * LINES);
  const grown = (await heap()) - before;
  console.log(`${(before / 1e6).toFixed(0)} MB, and ${(grown / 1e6).toFixed(1)} MB more after as many lines again`);
  expect(grown).toBeLessThan(before / 4);
});
