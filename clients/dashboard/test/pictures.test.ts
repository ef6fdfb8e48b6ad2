import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { buildHub } from "../../../examples/react-page/scripts/hub.mjs";
import { launch, visit } from "./kit/browser.ts";
import { LAGGING, startBusy } from "./kit/busy.ts";

const FOLDER = fileURLToPath(new URL("../../../docs/pictures", import.meta.url));
/** Samples, one a second, before the other pages are drawn, and after. */
const BEFORE = 180;
const AFTER = 60;
/** Sources that run on when nobody looks at the hub's figures: two logs. */
const OTHER_SOURCES = 2;

/** Each page, and what says that it shows what it is drawn for. */
const PAGES: readonly (readonly [name: string, hash: string, part: string, words: RegExp])[] = [
  ["sessions", "#/sessions", "session", /orders\//],
  ["session", `#/sessions/${encodeURIComponent(LAGGING)}`, "connection", new RegExp(LAGGING)],
  ["connections", "#/connections", "connection", new RegExp(LAGGING)],
  ["sources", "#/sources", "source", /build-2[^]*waiting[^]*WRONGTYPE/],
  ["deployments", "#/deployments/build-1", "log-panel", /of the build is done/],
  ["services", "#/services", "service", /CPU\s*[\d.]+ %/],
  ["access", "#/access", "check-token", /^$/],
];

const statsOf = async (hub: string) => (await (await fetch(`${hub}/stats`)).json()) as { ledger: { source: { live: number } } };

/** `PICTURES=1 npm test` draws those of docs/dashboard.md anew: a real hub at work, for some minutes. */
test.runIf(process.env["PICTURES"])("the pictures of the documents", { timeout: 1_200_000 }, async () => {
  const busy = await startBusy(process.env["WATERTIGHT_BIN"] ?? (await buildHub({ release: false })));
  onTestFinished(busy.stop);
  const browser = await launch();
  onTestFinished(() => browser.close());
  await mkdir(FOLDER, { recursive: true });
  const { page, errors } = await visit(browser, `${busy.url}/#/overview`);
  const points = async (): Promise<number> => Number(await page.getByTestId("plot-events").getAttribute("data-points"));
  await expect.poll(points, { timeout: 600_000 }).toBeGreaterThan(BEFORE);
  for (const [name, hash, part, words] of PAGES) {
    await page.evaluate((to) => void (location.hash = to), hash);
    await expect.poll(() => page.getByTestId(part).first().innerText()).toMatch(words);
    // All of it where what is below matters: who reads the session.
    await page.screenshot({ path: `${FOLDER}/dashboard-${name}.png`, fullPage: name === "session" });
  }
  // Once nobody looks at the figures any more there are none: the plots have a hole.
  await expect.poll(async () => (await statsOf(busy.url)).ledger.source.live).toBe(OTHER_SOURCES);
  await page.evaluate(() => void (location.hash = "#/overview"));
  await expect.poll(points, { timeout: 600_000 }).toBeGreaterThan(BEFORE + AFTER);
  expect(await page.getByTestId("ledger-mark").textContent()).toBe("✓ adds up");
  await page.screenshot({ path: `${FOLDER}/dashboard-overview.png`, fullPage: true });
  expect(errors).toEqual([]);
  for (const [suffix, look] of [["-dark", { dark: true }], ["-phone", { phone: true }]] as const) {
    const { page, errors } = await visit(browser, `${busy.url}/#/overview`, look);
    await expect.poll(async () => Number(await page.getByTestId("plot-events").getAttribute("data-points"))).toBeGreaterThan(BEFORE);
    await page.screenshot({ path: `${FOLDER}/dashboard-overview${suffix}.png` });
    expect(errors).toEqual([]);
  }
});
