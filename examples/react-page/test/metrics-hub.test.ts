import { expect, onTestFinished, test } from "vitest";
import { buildHub, startHub } from "../scripts/hub.mjs";
import { askStats } from "./kit/app.ts";
import { launch, visit } from "./kit/browser.ts";
import { startPage } from "./kit/page.ts";

test("shows the real figures of the machine that the hub runs on, and gives the stream back", async () => {
  const binary = process.env["WATERTIGHT_BIN"] ?? (await buildHub({ release: false }));
  const hub = await startHub({ binary, log: () => {} });
  onTestFinished(hub.stop);
  const page = await startPage(hub.url);
  onTestFinished(page.stop);
  const browser = await launch();
  onTestFinished(() => browser.close());
  const it = await visit(browser, `${page.address}#metrics`);
  const figure = (name: string): Promise<string> => it.part(`figure-${name}`).first().locator("dd").innerText();
  await expect.poll(() => it.part("service").first().getAttribute("data-id")).toBe("host");
  await expect.poll(() => figure("memoryBytes")).toMatch(/^[\d.,]+ [KMGT]iB$/);
  expect(await it.part("service-of").first().innerText()).toMatch(/^host · figures and limits of /);
  // A rate needs two samples.
  await expect.poll(() => figure("cpuPercent")).toMatch(/^[\d.]+ %$/);
  await expect.poll(() => it.part("plot-memory").first().getByTestId("line").count()).toBe(1);
  expect(it.errors).toEqual([]);
  await it.page.close();
  await expect.poll(async () => (await askStats(hub.url)).ledger.subscription.live).toBe(0);
});
