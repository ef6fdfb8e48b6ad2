import { expect, onTestFinished, test } from "vitest";
import { logKey } from "../api/store.ts";
import { WAYS } from "./kit/member.ts";
import { createNetwork } from "./kit/network.ts";
import { beginBuild, expectWholeBuild, hurry, onPages } from "./kit/pages.ts";

// The page in a browser, while one or the other of what is behind it is away: in the end every line is there once.

// Builds that are not over before what happens in the middle of them, however slow everything else is.
const pages = onPages({ app: { SLOWLY: "2000" } });

test.each(WAYS)("%s: what happens while the network is cut is there afterwards, each line once", async (way) => {
  const network = await createNetwork();
  onTestFinished(network.stop);
  const it = await pages.visit("ada", way, "", { network });
  const id = await beginBuild(it);
  network.cut();
  await it.becomes("log", "reconnecting");
  const seen = (await it.numbers()).length;
  hurry(id);
  const ada = await pages.stage.member("ada");
  expect((await ada.over(id)).state).toBe("succeeded");
  expect((await it.numbers()).length).toBe(seen);
  network.mend();
  await expectWholeBuild(it, id);
  expect(await it.page.locator(".log-row[data-kind=gap]").count()).toBe(0);
});

test.each(WAYS)("%s: a hub that is killed, and Redis that is, both in the middle of a build: each line once, the end, and the gap is told", async (way) => {
  const { hub, redis } = pages.stage.platform.programs;
  const it = await pages.visit("ada", way);
  const id = await beginBuild(it);
  await hub.kill();
  await it.becomes("log", "reconnecting");
  await hub.start();
  await it.becomes("log", "open");
  await redis?.kill();
  await expect.poll(() => it.part("log-source").or(it.page.locator('[data-testid=said] li[data-code="CIRCUIT_OPEN"]')).first().innerText()).not.toBe("");
  hurry(id);
  await redis?.start();
  await expectWholeBuild(it, id);
  // The new hub remembers nothing from before; what it read from Redis again was shown once.
  const gaps = it.page.locator(".log-row[data-kind=gap]");
  expect(await gaps.allInnerTexts()).toEqual([expect.stringMatching(/by their numbers none is missing/)]);
});

test.each(WAYS)("%s: without a hub the page says so, and is right again by itself when there is one", async (way) => {
  const { hub } = pages.stage.platform.programs;
  const it = await pages.visit("ada", way);
  await it.becomes("list", "open");
  await hub.kill();
  await it.becomes("list", "reconnecting");
  // A build needs no hub: its log is in Redis, and the list is the API's.
  const id = await it.build("pages");
  await expect.poll(() => pages.stage.redis.xlen(logKey(id))).toBeGreaterThan(1);
  hurry(id);
  const ada = await pages.stage.member("ada");
  expect((await ada.over(id)).state).toBe("succeeded");
  await hub.start();
  await expectWholeBuild(it, id);
  await it.becomes("list", "open");
});

test.each(WAYS)("%s: Redis stopped for long: rights that nobody can tell end streams with CIRCUIT_OPEN, and they come back without a hole", async (way) => {
  const { redis } = pages.stage.platform.programs;
  const it = await pages.visit("ada", way);
  const id = await beginBuild(it);
  await redis?.kill();
  await expect.poll(async () => (await it.said("log"))[0]).toBe("CIRCUIT_OPEN");
  await expect.poll(async () => (await it.said("log"))[1]).toMatch(/^(DIRECTORY|STORE)_UNAVAILABLE$/);
  hurry(id);
  await redis?.start();
  await expectWholeBuild(it, id);
  expect(await it.page.locator(".log-row[data-kind=gap]").count()).toBe(0);
});

test.each(WAYS)("%s: an API that is killed comes back, and nothing of a build is lost by it", async (way) => {
  const it = await pages.visit("ada", way);
  const id = await beginBuild(it);
  const states = await Promise.all([it.states("log"), it.states("list")]);
  const { api } = pages.stage.platform.programs;
  await api.kill();
  if (way === "relayed") await it.becomes("log", "reconnecting");
  hurry(id);
  await api.start();
  await expectWholeBuild(it, id);
  await it.becomes("list", "open");
  const noticed = expect.arrayContaining(["reconnecting"]) as unknown;
  // Who watches at the hub does not notice.
  const expected = way === "straight" ? [["open", "closed"], ["open"]] : [noticed, noticed];
  expect(await Promise.all(states.map((told) => told()))).toEqual(expected);
});

test.each(WAYS)("%s: a worker that is killed under a build: the build goes on, and the next worker finds out how it ended", async (way) => {
  const { worker } = pages.stage.platform.programs;
  const it = await pages.visit("ada", way);
  const id = await beginBuild(it);
  const states = await Promise.all([it.states("log"), it.states("list")]);
  await worker.kill();
  hurry(id);
  await expect.poll(() => it.end()).toMatch(/^Ended with exit code 0, /);
  expect(await it.listed(id)).toBe("running");
  await worker.start();
  await expectWholeBuild(it, id);
  // Who watches does not notice.
  expect(await Promise.all(states.map((told) => told()))).toEqual([["open", "closed"], ["open"]]);
});
