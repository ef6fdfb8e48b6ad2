import { expect, test } from "vitest";
import { expectWhole, open, openIn } from "./kit/browser.ts";
import { onStage, type Stage } from "./kit/stage.ts";

let app: Stage["app"];
let browser: Stage["browser"];
// A hub that can replay hardly anything.
onStage({ WATERTIGHT_MAX_HISTORY_PER_SESSION: "5", PACE: "1.5" }, (stage) => ({ app, browser } = stage));

test("a page that was away for longer than the history is told of the gap, and the snapshot mends it", async () => {
  const tab = await open(browser, app.page, "ada");
  await tab.start("Forget me", 120);
  await tab.hasText(50);
  app.cutNetwork();
  await expect.poll(() => tab.state("run")).toBe("reconnecting");
  const before = await tab.text();
  // The run goes on meanwhile: asked past the browser's network.
  await expect.poll(async () => (await tab.keptAt(app.service)).text.length).toBeGreaterThan(before.length + 200);
  app.mendNetwork();
  await tab.hasText(before.length + 200);
  await expect.poll(async () => [await tab.run("gaps"), await tab.run("mended")]).toEqual(["1", "1"]);
  expect((await tab.text()).startsWith(before)).toBe(true);
  await expectWhole(tab);
});

test("a second tab in the middle of the text needs no history", async () => {
  const first = await open(browser, app.page, "ada");
  await first.start("Watch me twice", 120);
  await first.hasText(200);
  const second = await openIn(first.page.context(), first.page.url(), "ada");
  await Promise.all([expectWhole(first), expectWhole(second)]);
  expect(await second.run("gaps")).toBe("0");
});
