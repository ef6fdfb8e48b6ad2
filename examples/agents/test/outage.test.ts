import { expect, test } from "vitest";
import { expectWhole, open } from "./kit/browser.ts";
import { onStage, type Stage } from "./kit/stage.ts";

let app: Stage["app"];
let browser: Stage["browser"];
// Tokens so short that several end in every run.
onStage({ TOKEN_LIFETIME: "3", PACE: "2" }, (stage) => ({ app, browser } = stage));

test("a token that ends in the middle of the text is replaced, and nothing is lost or doubled", async () => {
  const tab = await open(browser, app.page, "ada");
  const asked: string[] = [];
  tab.page.on("request", (request) => {
    if (/run-\w+\/events/.test(request.url()) && request.method() === "GET") asked.push(request.headers()["authorization"] ?? "");
  });
  await tab.start("Outlive your token", 120);
  await expectWhole(tab);
  // Each stream was opened with another token, and none of them by a second try.
  expect(asked.length).toBeGreaterThan(1);
  expect(new Set(asked).size).toBe(asked.length);
  expect(await tab.run("gaps")).toBe("0");
});

test("a hub that is killed in the middle of the text comes back, and the snapshot mends the gap", async () => {
  const tab = await open(browser, app.page, "ada");
  await tab.start("Outlive the hub", 120);
  await tab.hasText(40);
  app.kill("hub");
  await expect.poll(() => tab.state("run")).toBe("reconnecting");
  const n = (await tab.kept().catch(() => null))?.n ?? 0;
  await app.isBack("hub");
  // What the page waits between two tries may be longer than the rest of the run.
  const hurried = async (): Promise<string | null> => {
    await tab.page.evaluate(() => void dispatchEvent(new Event("online")));
    return tab.state("run");
  };
  await expect.poll(hurried, { interval: 250 }).toBe("open");
  await expectWhole(tab);
  expect(Number(await tab.run("n"))).toBeGreaterThan(n);
  expect([await tab.run("gaps"), await tab.run("mended")]).toEqual(["1", "1"]);
  await expect.poll(() => tab.part("row").first().getAttribute("data-status")).toBe("done");
});

test("a service that is killed ends its runs honestly: what was seen stays, and the run says that it was interrupted", async () => {
  const tab = await open(browser, app.page, "ada");
  const ended = await tab.start("End before", 40);
  await expectWhole(tab);
  await tab.start("Outlive the service", 600);
  await tab.hasText(200);
  await app.killAndWait("service");
  await expect.poll(() => tab.run("status")).toBe("interrupted");
  await expectWhole(tab, "interrupted");
  expect((await tab.text()).length).toBeGreaterThanOrEqual(200);
  expect(await tab.part("end").textContent()).toContain("The service was stopped while this run was at work.");
  await expect.poll(() => tab.part("row").first().getAttribute("data-status")).toBe("interrupted");
  // Who was signed in still is, and what had ended is still there.
  await tab.page.goto(`${app.page}/#/runs/${ended}`);
  await expect.poll(() => tab.run("id")).toBe(ended);
  await expectWhole(tab);
});

test("hub and service killed together lose no end: the next start tells it", async () => {
  const tab = await open(browser, app.page, "ada");
  await tab.start("Outlive both", 600);
  await tab.hasText(100);
  app.kill("hub");
  await app.killAndWait("service");
  await expectWhole(tab, "interrupted");
});
