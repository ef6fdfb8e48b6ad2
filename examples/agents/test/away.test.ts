import { expect, test } from "vitest";
import { expectWhole, open } from "./kit/browser.ts";
import { onStage, type Stage } from "./kit/stage.ts";

let app: Stage["app"];
let browser: Stage["browser"];
// The hub stays away for longer than a page takes to load on a busy machine.
onStage({ RESTART_AFTER: "6000", PACE: "2" }, (stage) => ({ app, browser } = stage));

test("a page that is loaded while the hub is away says so, and begins by itself", async () => {
  const tab = await open(browser, app.page, "ada");
  await tab.start("Load me meanwhile", 120);
  await tab.hasText(50);
  app.kill("hub");
  await tab.page.reload();
  await expect.poll(() => tab.part("run-state").textContent()).toContain("the hub");
  await app.isBack("hub");
  await expectWhole(tab);
});
