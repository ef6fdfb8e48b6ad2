import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { WAYS, upTo } from "./kit/member.ts";
import { setStage, type Stage } from "./kit/stage.ts";
import { launch, Visit } from "./kit/visit.ts";

// The page in a browser, with everything behind it.

let stage: Stage;
let browser: Browser;
const open: Visit[] = [];

beforeAll(async () => {
  // Builds that one can watch: the project `pages` prints a line each 0.7 s.
  stage = await setStage({ app: { SLOWLY: "700" } });
  browser = await launch();
});

afterEach(async () => {
  for (const visit of open.splice(0)) {
    await visit.close();
    await visit.context.close();
  }
  await stage.expectNothingLeft();
});

afterAll(async () => {
  await browser?.close();
  await stage?.stop();
});

async function visit(user: "ada" | "grace", way: (typeof WAYS)[number], more = ""): Promise<Visit> {
  const it = await Visit.of(browser, stage, user, way, more);
  open.push(it);
  return it;
}

/** What the project `pages` prints: a heading, eight pages, a warning, an end. */
const LINES = 11;

async function expectWholeBuild(it: Visit, id: string): Promise<void> {
  await expect.poll(() => it.end(), { timeout: 120_000 }).toMatch(/^Ended with exit code 0, /);
  expect((await it.numbers()).sort((a, b) => a - b)).toEqual(upTo(LINES));
  await expect.poll(() => it.listed(id)).toBe("succeeded");
}

test("nobody is let in with a wrong password", async () => {
  const it = await Visit.begin(browser, stage, "");
  open.push(it);
  await it.part("user").fill("ada");
  await it.part("password").fill("wrong");
  await it.click("sign-in");
  await expect.poll(() => it.part("problem").innerText()).toContain("no such user with this password");
  expect(await it.part("deployments").count()).toBe(0);
});

test.each(WAYS)("%s: a build is seen as it goes, in its colours, can be searched, and ends with its exit code", async (way) => {
  const it = await visit("ada", way);
  await it.becomes("list", "open");
  const id = await it.build("site");
  await expect.poll(() => it.listed(id)).toBe("running");
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
  expect(await it.said("log")).toEqual(["SESSION_ENDED"]);
});

test.each(WAYS)("%s: a build that fails says why, on its error output, and with which exit code", async (way) => {
  const it = await visit("ada", way);
  await it.becomes("list", "open");
  const id = await it.build("broken");
  await expect.poll(() => it.end()).toMatch(/^Ended with exit code 3, /);
  expect(await it.part("log-end").getAttribute("data-good")).toBe("false");
  expect((await it.rows()).join("\n")).toContain("missing.ts");
  expect(await it.page.locator(".log-row[data-stream=stderr]").count()).toBeGreaterThan(0);
  await expect.poll(() => it.listed(id)).toBe("failed");
  expect(await it.page.locator(`[data-testid=deployments] li[data-id="${id}"]`).getAttribute("data-exit-code")).toBe("3");
});

test.each(WAYS)("%s: each sees the figures of her own services, and who has none of a kind does not", async (way) => {
  const ada = await visit("ada", way, "#metrics");
  const grace = await visit("grace", way, "#metrics");
  const services = (it: Visit): Promise<(string | undefined)[]> =>
    it.part("service").evaluateAll((cards) => cards.map((card) => (card as HTMLElement).dataset["id"]));
  await expect.poll(() => services(ada)).toEqual(["api", "worker"]);
  await expect.poll(() => services(grace)).toEqual(["machine", "redis"]);
  // A line needs two samples.
  await expect.poll(() => ada.part("plot-memory").first().getByTestId("line").count()).toBe(1);
  await expect.poll(() => grace.part("plot-memory").first().getByTestId("line").count()).toBe(1);
});

test.each(WAYS)("%s: a deployment that is given away is gone from the list, its log ends with FORBIDDEN, and its new owner has it", async (way) => {
  const [ada, grace] = [await visit("ada", way), await visit("grace", way)];
  await Promise.all([ada.becomes("list", "open"), grace.becomes("list", "open")]);
  const id = await ada.build("pages");
  await ada.becomes("log", "open");
  await ada.part("owner").fill("grace");
  await ada.click("give");
  await expect.poll(() => ada.said("log")).toEqual(["FORBIDDEN"]);
  await ada.becomes("log", "error");
  await expect.poll(() => ada.part("given").innerText()).toBe("It belongs to grace now.");
  // She is signed in all the same, and the list goes on.
  expect(await ada.part("who").textContent()).toBe("ada");
  await ada.becomes("list", "open");
  await grace.page.locator(`[data-testid=deployments] li[data-id="${id}"] button`).click();
  await expectWholeBuild(grace, id);
});

test.each(WAYS)("%s: signing out in one tab ends the streams of the other with TOKEN_REVOKED, and it asks who is there", async (way) => {
  const it = await visit("ada", way);
  const id = await it.build("pages");
  const other = await Visit.begin(browser, stage, `?way=${way}&deployment=${id}`, it);
  await Promise.all([it.becomes("log", "open"), other.becomes("log", "open"), other.becomes("list", "open")]);
  await it.click("sign-out");
  await expect.poll(() => other.said("log")).toEqual(["TOKEN_REVOKED"]);
  expect(await other.said("list")).toEqual(["TOKEN_REVOKED"]);
  await expect.poll(() => other.part("user").count()).toBe(1);
  await expect.poll(() => it.part("user").count()).toBe(1);
  await other.signIn("ada");
  await other.becomes("list", "open");
  await expectWholeBuild(other, id);
  await other.close();
});

test.each(WAYS)("%s: what happens while the network is cut is there afterwards, each line once", async (way) => {
  const it = await visit("ada", way);
  await it.becomes("list", "open");
  const id = await it.build("pages");
  await expect.poll(async () => (await it.numbers()).length).toBeGreaterThan(1);
  await it.context.setOffline(true);
  // The browser tells a page that its network is gone, but lets what is open be: so the connections are cut, too.
  await cut();
  await it.becomes("log", "reconnecting");
  const seen = (await it.numbers()).length;
  await stage.member("ada").then((ada) => expect.poll(async () => (await ada.deployments()).find((one) => one.id === id)?.state).toBe("succeeded"));
  expect((await it.numbers()).length).toBe(seen);
  await it.context.setOffline(false);
  await expectWholeBuild(it, id);
  expect(await it.page.locator(".log-row[data-kind=gap]").count()).toBe(0);
});

/** Closes all streams at the hub, as a network that is gone does to them in the end. */
async function cut(): Promise<void> {
  const ids = (await stage.connections()).map(({ id }) => id);
  await stage.disconnect(ids);
}

test.each(WAYS)("%s: a tab that was frozen in the background catches up when it is shown again", async (way) => {
  const it = await visit("ada", way);
  await it.becomes("list", "open");
  const id = await it.build("pages");
  await expect.poll(async () => (await it.numbers()).length).toBeGreaterThan(1);
  const devtools = await it.devtools();
  await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
  const ada = await stage.member("ada");
  expect((await ada.over(id)).state).toBe("succeeded");
  await devtools.send("Page.setWebLifecycleState", { state: "active" });
  await expectWholeBuild(it, id);
});

test.each(WAYS)("%s: a hub that is killed, and Redis that is, both in the middle of a build: each line once, the end, and the gap is told", async (way) => {
  const { hub, redis } = stage.platform.programs;
  const it = await visit("ada", way);
  await it.becomes("list", "open");
  const id = await it.build("pages");
  await expect.poll(async () => (await it.numbers()).length).toBeGreaterThan(1);
  await hub.kill();
  await it.becomes("log", "reconnecting");
  await hub.start();
  await it.becomes("log", "open");
  await redis?.kill();
  await expect.poll(() => it.part("log-source").or(it.page.locator('[data-testid=said] li[data-code="CIRCUIT_OPEN"]')).first().innerText()).not.toBe("");
  await redis?.start();
  await expectWholeBuild(it, id);
  // The new hub remembers nothing from before; what it read from Redis again was shown once.
  const gaps = it.page.locator(".log-row[data-kind=gap]");
  expect(await gaps.allInnerTexts()).toEqual([expect.stringMatching(/by their numbers none is missing/)]);
});

test.each(WAYS)("%s: without a hub the page says so, and is right again by itself when there is one", async (way) => {
  const { hub } = stage.platform.programs;
  const it = await visit("ada", way);
  await it.becomes("list", "open");
  await hub.kill();
  await it.becomes("list", "reconnecting");
  // A build needs no hub: its log is in Redis, and the list is the API's.
  const id = await it.build("pages");
  const ada = await stage.member("ada");
  expect((await ada.over(id)).state).toBe("succeeded");
  await hub.start();
  await expectWholeBuild(it, id);
  await it.becomes("list", "open");
});

test.each(WAYS)("%s: Redis stopped for long: rights that nobody can tell end streams with CIRCUIT_OPEN, and they come back without a hole", async (way) => {
  const { redis } = stage.platform.programs;
  const it = await visit("ada", way);
  await it.becomes("list", "open");
  const id = await it.build("pages");
  await expect.poll(async () => (await it.numbers()).length).toBeGreaterThan(1);
  await redis?.kill();
  await expect.poll(async () => (await it.said("log"))[0]).toBe("CIRCUIT_OPEN");
  await expect.poll(async () => (await it.said("log"))[1]).toMatch(/^(DIRECTORY|STORE)_UNAVAILABLE$/);
  await redis?.start();
  await expectWholeBuild(it, id);
  expect(await it.page.locator(".log-row[data-kind=gap]").count()).toBe(0);
});

test.each(WAYS)("%s: an API that is killed comes back, and nothing of a build is lost by it", async (way) => {
  const it = await visit("ada", way);
  await it.becomes("list", "open");
  const id = await it.build("pages");
  await expect.poll(async () => (await it.numbers()).length).toBeGreaterThan(1);
  await stage.platform.programs.api.kill();
  if (way === "relayed") await it.becomes("log", "reconnecting");
  await stage.platform.programs.api.start();
  await expectWholeBuild(it, id);
});

test("a worker that is killed under a build: the build goes on, and the next worker finds out how it ended", async () => {
  const { worker } = stage.platform.programs;
  const it = await visit("ada", "straight");
  await it.becomes("list", "open");
  const id = await it.build("pages");
  await expect.poll(async () => (await it.numbers()).length).toBeGreaterThan(1);
  await worker.kill();
  await expect.poll(() => it.end()).toMatch(/^Ended with exit code 0, /);
  expect(await it.listed(id)).toBe("running");
  await worker.start();
  await expectWholeBuild(it, id);
});
