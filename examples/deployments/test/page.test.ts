import { expect, test } from "vitest";
import { deploymentKey, feedKeys, logKey } from "../api/store.ts";
import { WAYS } from "./kit/member.ts";
import { beginBuild, expectWholeBuild, hurry, onPages } from "./kit/pages.ts";
import type { Visit } from "./kit/visit.ts";

// The page in a browser, with everything behind it.

const pages = onPages({ app: { SLOWLY: "2000" } });

test("nobody is let in with a wrong password", async () => {
  const it = await pages.begin("");
  await it.part("user").fill("ada");
  await it.part("password").fill("wrong");
  await it.click("sign-in");
  await expect.poll(() => it.part("problem").innerText()).toContain("no such user with this password");
  expect(await it.part("deployments").count()).toBe(0);
});

test.each(WAYS)("%s: a build is seen as it goes, in its colours, can be searched, and ends with its exit code", async (way) => {
  const it = await pages.visit("ada", way);
  await it.becomes("list", "open");
  const listed = await it.listedFromNowOn();
  const id = await it.build("site");
  await expect.poll(() => it.rows()).toContain("site: building for production");
  await expect.poll(() => it.end()).toMatch(/^Ended with exit code 0, /);
  await it.becomes("log", "closed");
  const rows = await it.rows();
  expect(rows.filter((row) => /^ {2}assets\/index-\S+\.js \d+ bytes$/.test(row)).length).toBe(1);
  expect(rows.at(-2)).toMatch(/^done in \d+ ms$/);
  // A word in green, of which the build said so.
  const green = it.page.locator(".log-row .ansi-colour", { hasText: /^done$/ });
  expect(await green.count()).toBe(1);
  await it.page.locator(".log-panel input[type=search], .log-panel input").first().fill("building");
  await expect.poll(() => it.page.locator(".log-row mark").allInnerTexts()).toContain("building");
  await expect.poll(() => it.listed(id)).toBe("succeeded");
  expect(await listed(id)).toContain("running");
  expect(await it.said("log")).toEqual(["SESSION_ENDED"]);
});

test.each(WAYS)("%s: a build that fails says why, on its error output, and with which exit code", async (way) => {
  const it = await pages.visit("ada", way);
  await it.becomes("list", "open");
  const id = await it.build("broken");
  await expect.poll(() => it.end()).toMatch(/^Ended with exit code 3, /);
  expect(await it.part("log-end").getAttribute("data-good")).toBe("false");
  expect((await it.rows()).join("\n")).toContain("missing.ts");
  expect(await it.page.locator(".log-row[data-stream=stderr]").count()).toBeGreaterThan(0);
  await expect.poll(() => it.listed(id)).toBe("failed");
  expect(await it.row(id).getAttribute("data-exit-code")).toBe("3");
});

test.each(WAYS)("%s: each sees the figures of her own services, and who has none of a kind does not", async (way) => {
  const ada = await pages.visit("ada", way, "#metrics");
  const grace = await pages.visit("grace", way, "#metrics");
  const services = (it: Visit): Promise<(string | undefined)[]> =>
    it.part("service").evaluateAll((cards) => cards.map((card) => (card as HTMLElement).dataset["id"]));
  await expect.poll(() => services(ada)).toEqual(["api", "worker"]);
  await expect.poll(() => services(grace)).toEqual(["machine", "redis"]);
  for (const it of [ada, grace]) {
    expect(await it.part("plot-memory").first().getByTestId("line").count()).toBe(1);
    // It needs two samples.
    await expect.poll(() => it.part("figure-cpuPercent").first().getAttribute("data-known")).toBe("true");
  }
});

test.each(WAYS)("%s: a deployment that is given away is gone from the list, its log ends with FORBIDDEN, and its new owner has it", async (way) => {
  const [ada, grace] = [await pages.visit("ada", way), await pages.visit("grace", way)];
  await grace.becomes("list", "open");
  const id = await beginBuild(ada);
  await ada.becomes("log", "open");
  await ada.part("owner").fill("grace");
  await ada.click("give");
  await expect.poll(() => ada.said("log")).toEqual(["FORBIDDEN"]);
  await ada.becomes("log", "error");
  await expect.poll(() => ada.part("given").innerText()).toBe("It belongs to grace now.");
  await expect.poll(() => ada.row(id).count()).toBe(0);
  // She is signed in all the same, and the list goes on.
  expect(await ada.part("who").textContent()).toBe("ada");
  await ada.becomes("list", "open");
  await grace.row(id).getByRole("button").click();
  hurry(id);
  await expectWholeBuild(grace, id);
});

test.each(WAYS)("%s: signing out in one tab ends the streams of the other with TOKEN_REVOKED, and it asks who is there", async (way) => {
  const it = await pages.visit("ada", way);
  // Both are there before the build begins, which does not wait for them.
  const other = await pages.begin(`?way=${way}`, { beside: it });
  await other.becomes("list", "open");
  const id = await beginBuild(it);
  await other.row(id).getByRole("button").click();
  await Promise.all([it.becomes("log", "open"), other.becomes("log", "open")]);
  const answer = await other.waitsForWhoIsThere();
  await it.click("sign-out");
  for (const stream of ["log", "list"] as const) await expect.poll(() => other.said(stream)).toEqual(["TOKEN_REVOKED"]);
  answer();
  await expect.poll(() => other.part("user").count()).toBe(1);
  await expect.poll(() => it.part("user").count()).toBe(1);
  await other.signIn("ada");
  await other.becomes("list", "open");
  await other.row(id).getByRole("button").click();
  hurry(id);
  await expectWholeBuild(other, id);
});

test("a log that was let go is not waited for: the page says so, and the row stays", async () => {
  const ada = await pages.stage.member("ada");
  const id = await ada.build("broken");
  await ada.over(id);
  const { redis } = pages.stage;
  await expect.poll(() => redis.ttl(logKey(id))).toBeGreaterThan(0);
  // Eight days later.
  await redis.hset(deploymentKey(id), { endedAt: Date.now() / 1_000 - 8 * 86_400 });
  await redis.del(...feedKeys(id));
  const it = await pages.visit("ada", "straight");
  await it.row(id).getByRole("button").click();
  await expect.poll(() => it.part("log-gone").innerText()).toContain("was let go");
  expect([await it.listed(id), await it.part("log-state").count()]).toEqual(["failed", 0]);
});
