import { expect, onTestFinished, test } from "vitest";
import { WAYS, type Way } from "./kit/member.ts";
import { beginBuild, expectWholeBuild, hurry, onPages } from "./kit/pages.ts";
import { launchTabs } from "./kit/tabs.ts";
import type { Visit } from "./kit/visit.ts";

// A tab that nobody looks at.

const pages = onPages({ app: { SLOWLY: "2000" } });

/** A page in a browser whose tabs hide each other, and what hides it. */
async function visit(way: Way): Promise<{ it: Visit; hide: () => Promise<void>; show: () => Promise<void> }> {
  const tabs = await launchTabs();
  onTestFinished(tabs.close);
  // Vite's development server reloads a page that does not answer for a while: here the page has to catch up by itself.
  await tabs.context.routeWebSocket(/./, () => {});
  const it = await pages.visit("ada", way, "", { tabs });
  const visibility = (): Promise<string> => it.page.evaluate(() => document.visibilityState);
  return {
    it,
    async hide() {
      await (await tabs.context.newPage()).bringToFront();
      await expect.poll(visibility).toBe("hidden");
    },
    async show() {
      await it.page.bringToFront();
      await expect.poll(visibility).toBe("visible");
    },
  };
}

test.each(WAYS)("%s: a tab that is hidden keeps its streams, and has everything already when it is shown again", async (way) => {
  const { it, hide, show } = await visit(way);
  const id = await beginBuild(it);
  const states = await Promise.all([it.states("log"), it.states("list")]);
  await hide();
  hurry(id);
  await expectWholeBuild(it, id);
  await show();
  await expectWholeBuild(it, id);
  expect(await Promise.all(states.map((told) => told()))).toEqual([["open", "closed"], ["open"]]);
});

test.each(WAYS)("%s: a tab that was frozen in the background catches up when it is shown again", async (way) => {
  const { it, hide, show } = await visit(way);
  await it.page.clock.install();
  await it.page.reload();
  const id = await beginBuild(it);
  await it.page.evaluate(() => {
    for (const type of ["freeze", "resume"]) document.addEventListener(type, () => (document.title += ` ${type}`));
  });
  await hide();
  // What a browser does to a tab that nobody has looked at for a while: no timer and no handler runs.
  const devtools = await it.devtools();
  await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
  await expect.poll(() => it.page.title()).toBe("Deployments freeze");
  const seen = (await it.numbers()).length;
  hurry(id);
  const ada = await pages.stage.member("ada");
  expect((await ada.over(id)).state).toBe("succeeded");
  // It is over, and the page stands as it stood: at most what was on its way has come.
  expect((await it.numbers()).length).toBeLessThan(seen + 2);
  expect([await it.part("log-end").count(), await it.listed(id)]).toEqual([0, "running"]);
  await devtools.send("Page.setWebLifecycleState", { state: "active" });
  // To the page a minute has passed, more than the 45 s of silence after which it doubts a stream.
  await it.page.clock.fastForward(60_000);
  await show();
  await expectWholeBuild(it, id);
  expect(await it.page.title()).toBe("Deployments freeze resume");
  expect(await it.page.locator(".log-row[data-kind=gap]").count()).toBe(0);
});
