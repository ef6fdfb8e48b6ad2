import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { upTo, type Way } from "./kit/member.ts";
import { setStage, type Stage } from "./kit/stage.ts";
import { launch, Visit } from "./kit/visit.ts";

// A page whose token, or whose sign-in, ends in the middle of a build.

let stage: Stage;
let browser: Browser;
let it: Visit;

beforeAll(async () => {
  stage = await setStage({
    app: { SLOWLY: "700", TOKEN_LIFETIME: "7", SIGN_IN_LIFETIME: "14" },
    hub: { WATERTIGHT_TOKEN_LEEWAY: "0" },
  });
  browser = await launch();
});

afterEach(async () => {
  await it.close();
  await it.context.close();
  await stage.expectNothingLeft();
});

afterAll(async () => {
  await browser?.close();
  await stage?.stop();
});

async function build(way: Way): Promise<string> {
  it = await Visit.of(browser, stage, "ada", way);
  await it.becomes("list", "open");
  const id = await it.build("pages");
  await it.becomes("log", "open");
  return id;
}

test("straight: a token that expires in the middle of a build is followed by a fresh one, and no line is lost or doubled", async () => {
  await build("straight");
  await expect.poll(() => it.said("log")).toContain("TOKEN_EXPIRED");
  await expect.poll(() => it.end()).toMatch(/^Ended with exit code 0, /);
  expect((await it.numbers()).sort((a, b) => a - b)).toEqual(upTo(11));
  expect(await it.page.locator(".log-row[data-kind=gap]").count()).toBe(0);
});

test.each(["straight", "relayed"] as const)("%s: when the sign-in is over the streams end with TOKEN_EXPIRED, and the page asks who is there", async (way) => {
  await build(way);
  await expect.poll(() => it.part("user").count()).toBe(1);
  expect(await it.said("list")).toContain("TOKEN_EXPIRED");
  // Whatever was tried after that was refused by the API: nobody is signed in any more.
  expect((await it.said("list")).at(-1)).toBe("UNAUTHORIZED");
});
