import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { buildHub, startHub } from "../../scripts/hub.mjs";
import { askStats } from "./app.ts";
import { launch, visit, type Visit } from "./browser.ts";
import { startPage } from "./page.ts";
import { startStandIn, type StandIn } from "./stand-in.ts";

/** What each test of a panel is given: a hub, the page's address, a browser and a visit to the panel, whose stream is open. */
export interface Stage<Hub> {
  readonly hub: Hub;
  readonly address: string;
  readonly browser: Browser;
  readonly it: Visit;
}

/** The panel's state, as it shows it. */
export const expectState = (it: Visit, panel: string, name: string): Promise<void> =>
  expect.poll(() => it.part(`${panel}-state`).getAttribute("data-state")).toBe(name);

interface Panel {
  /** As its parts are named. */
  readonly panel: "log" | "metrics";
  /** Where it is on the page, for the next test. */
  readonly path: () => string;
}

export type RealHub = Awaited<ReturnType<typeof startHub>> & { readonly binary: string };

/** One real hub for all tests of a file. Each has to leave no subscription and no error. */
export function onRealHub({ panel, path }: Panel, begin: (stage: Stage<RealHub>) => void): void {
  let browser: Browser;
  let hub: RealHub;
  let page: Awaited<ReturnType<typeof startPage>>;
  let it: Visit;
  beforeAll(async () => {
    const binary = process.env["WATERTIGHT_BIN"] ?? (await buildHub({ release: false }));
    hub = { ...(await startHub({ binary, log: () => {} })), binary };
    page = await startPage(hub.url);
    browser = await launch();
  });
  beforeEach(async () => {
    it = await visit(browser, page.address + path());
    await expectState(it, panel, "open");
    begin({ hub, address: page.address, browser, it });
  });
  afterEach(async () => {
    expect(it.errors).toEqual([]);
    await it.page.close();
    await expect.poll(async () => (await askStats(hub.url)).ledger.subscription.live).toBe(0);
  });
  afterAll(async () => {
    await browser?.close();
    await page?.stop();
    await hub?.stop();
  });
}

/** For each test something that speaks as a hub does, and a page of its own. */
export function onStandIn({ panel, path }: Panel, begin: (stage: Stage<StandIn>) => void): void {
  let browser: Browser;
  let hub: StandIn;
  let page: Awaited<ReturnType<typeof startPage>>;
  let it: Visit;
  beforeAll(async () => {
    browser = await launch();
  });
  beforeEach(async () => {
    hub = await startStandIn();
    page = await startPage(hub.url);
    it = await visit(browser, page.address + path());
    await expectState(it, panel, "open");
    begin({ hub, address: page.address, browser, it });
  });
  afterEach(async () => {
    expect(it.errors).toEqual([]);
    await it.page.close();
    await page.stop();
    await hub.stop();
  });
  afterAll(() => browser?.close());
}
