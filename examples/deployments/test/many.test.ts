import { afterAll, beforeAll, expect, test } from "vitest";
import { upTo, type Member, type Watch } from "./kit/member.ts";
import { launch, Visit } from "./kit/visit.ts";
import { setStage, type Stage } from "./kit/stage.ts";

// Many builds, and many who watch: half of them straight, half relayed.

const BUILDS = 200;

let stage: Stage;
let ada: Member;

beforeAll(async () => {
  stage = await setStage({ app: { BUILDS_AT_ONCE: "6" } });
  ada = await stage.member("ada");
});

afterAll(() => stage?.stop());

test("200 builds, each watched from before it begins, all 200 at once: every line once, every end, and a page that shows them all", { timeout: 600_000 }, async () => {
  const browser = await launch();
  const it = await Visit.of(browser, stage, "ada", "straight");
  await it.becomes("list", "open");
  // No build begins before all are watched.
  await stage.platform.programs.worker.kill();
  const ids = await Promise.all(Array.from({ length: BUILDS }, () => ada.build("pages")));
  expect(new Set(ids).size).toBe(BUILDS);
  const watches: Watch[] = ids.map((id, index) => ada.watch(index % 2 ? "relayed" : "straight", `/deployments/${id}/logs/stream`));
  await Promise.all(watches.map((watch) => watch.opens()));
  // And the list of the page.
  await expect.poll(async () => (await stage.stats()).ledger["subscription"]?.live).toBe(BUILDS + 1);
  expect(watches.filter(({ state, events }) => state !== "open" || events.length)).toEqual([]);
  await stage.platform.programs.worker.start();

  await expect.poll(() => watches.filter((watch) => watch.end() === undefined).length, { timeout: 500_000 }).toBe(0);
  await expect.poll(() => watches.filter(({ state }) => state !== "closed").length).toBe(0);
  for (const watch of watches) {
    const numbers = watch.lines().filter(([line]) => line).map(([line]) => line);
    expect(numbers.sort((a, b) => a - b)).toEqual(upTo(11));
    expect([watch.end(), watch.of("gap"), watch.codes]).toEqual([0, [], ["SESSION_ENDED"]]);
  }
  await expect
    .poll(() => it.page.locator("[data-testid=deployments] li").evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset["state"])))
    .toEqual(Array(BUILDS).fill("succeeded"));
  await it.close();
  await browser.close();
  for (const watch of watches) watch.client.destroy();
  await stage.expectNothingLeft();
});
