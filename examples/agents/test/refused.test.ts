import { expect, test } from "vitest";
import { expectWhole, open } from "./kit/browser.ts";
import { onStage, type Stage } from "./kit/stage.ts";

let app: Stage["app"];
let browser: Stage["browser"];
// The steps that call a tool have the task in them, and so has the row in the list.
onStage({ WATERTIGHT_MAX_EVENT_BYTES: "128", PACE: "2" }, (stage) => ({ app, browser } = stage));

test("steps that the hub refuses are brought by snapshots, and the others are seen live, the end too", async () => {
  const tab = await open(browser, app.page, "ada");
  await tab.start(`Repeat this: ${"as often as there is room ".repeat(5)}`.trim(), 120);
  await tab.hasText(100);
  expect(await tab.run("status")).toBe("running");
  expect(await tab.part("tool").count()).toBe(3);
  await expectWhole(tab);
  expect(Number(await tab.run("applied"))).toBeGreaterThan(100);
  expect(await tab.run("gaps")).toBe("0");
});
