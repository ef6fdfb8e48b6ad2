import { expect, test } from "vitest";
import { beginBuild, expectWholeBuild, hurry, onPages } from "./kit/pages.ts";

// A page whose token, or whose sign-in, ends in the middle of a build.

const pages = onPages({
  // A build takes longer than a token, and a sign-in than both.
  app: { SLOWLY: "2000", TOKEN_LIFETIME: "7", SIGN_IN_LIFETIME: "24" },
  hub: { WATERTIGHT_TOKEN_LEEWAY: "0" },
});

test("straight: a token that expires in the middle of a build is followed by a fresh one, and no line is lost or doubled", async () => {
  const it = await pages.visit("ada", "straight");
  const id = await beginBuild(it);
  await expect.poll(() => it.said("log")).toContain("TOKEN_EXPIRED");
  hurry(id);
  await expectWholeBuild(it, id);
  expect(await it.page.locator(".log-row[data-kind=gap]").count()).toBe(0);
});

test.each(["straight", "relayed"] as const)("%s: when the sign-in is over the streams end with TOKEN_EXPIRED, and the page asks who is there", async (way) => {
  const it = await pages.visit("ada", way);
  await beginBuild(it);
  const answer = await it.waitsForWhoIsThere();
  await expect.poll(() => it.said("list")).toContain("TOKEN_EXPIRED");
  // Whatever is tried after that is refused by the API: nobody is signed in any more.
  await expect.poll(async () => (await it.said("list")).at(-1)).toBe("UNAUTHORIZED");
  answer();
  await expect.poll(() => it.part("user").count()).toBe(1);
});
