import { expect, test } from "vitest";
import { SSEClient } from "watertight";
import type { Watch } from "../src/api.ts";
import { isRunOver, isRunStale, NO_RUN, toStep, withRunSnapshot, withStep, type Run, type RunView, type Summary } from "../src/model/run.ts";
import { expectNothingLeft } from "./kit/app.ts";
import { expectWhole, open } from "./kit/browser.ts";
import { onStage, type Stage } from "./kit/stage.ts";

let app: Stage["app"];
let browser: Stage["browser"];
// Slow agents: when all of them are being watched, most are at work still.
onStage({ PACE: "5" }, (stage) => ({ app, browser } = stage));

const COUNT = 200;

test("200 runs at once: the page and a reader of each see every end, every step once, and nothing is left", async () => {
  const tab = await open(browser, app.page, "ada");
  await expect.poll(() => tab.state("list")).toBe("open");
  await tab.start("All at once", 40, COUNT);
  await expect.poll(() => tab.part("row").count()).toBe(COUNT);

  const [cookie] = await tab.page.context().cookies();
  const ask = async <T>(path: string): Promise<T> => {
    const answer = await fetch(`${app.page}${path}`, { headers: { cookie: `${cookie?.name}=${cookie?.value}` } });
    expect([path, answer.status]).toEqual([path, 200]);
    return (await answer.json()) as T;
  };
  const runs = await ask<Summary[]>("/api/runs");
  const readers = await Promise.all(runs.map(({ id }) => read(`/api/runs/${id}/watch`, ask)));
  // Most of them are at work still: their ends come live.
  expect(readers.filter(({ isLive }) => isLive).length).toBeGreaterThan(COUNT / 2);

  await expect.poll(() => readers.filter((reader) => isRunOver(reader.view)).length).toBe(COUNT);
  for (const { view, closed } of readers) {
    expect({ stale: isRunStale(view), status: view.run?.status, gaps: view.gaps, repeated: view.repeated }).toEqual({
      stale: false,
      status: "done",
      gaps: 0,
      repeated: 0,
    });
    await closed;
  }
  await expect.poll(() => tab.part("done").textContent()).toBe(`${COUNT}`);
  expect(await tab.part("running").textContent()).toBe("0");
  expect(await tab.part("list").getAttribute("data-gaps")).toBe("0");
  expect(tab.errors).toEqual([]);
  // Only the stream of the list is open still.
  await expect.poll(async () => (await app.stats()).ledger.subscription.live).toBe(1);
  await tab.page.context().close();
  await expectNothingLeft(app);
});

test("200 runs over a hub that is killed in the middle: the page has every end, and the run that it shows is whole", async () => {
  const tab = await open(browser, app.page, "grace");
  await tab.start("All over a crash", 40, COUNT);
  await tab.hasText(30);
  await app.killAndWait("hub");
  await expect.poll(() => tab.part("done").textContent()).toBe(`${COUNT}`);
  await expectWhole(tab);
  expect(Number(await tab.part("list").getAttribute("data-gaps"))).toBeGreaterThan(0);
});

interface Reader {
  view: RunView;
  readonly isLive: boolean;
  /** Resolves once the hub has said that the session is over. */
  readonly closed: Promise<void>;
}

/** Does what the page does, without one. */
async function read(path: string, ask: <T>(path: string) => Promise<T>): Promise<Reader> {
  const { url, token, lastEventId, snapshot } = await ask<Watch<Run>>(path);
  const view = withRunSnapshot(NO_RUN, snapshot, 0);
  // So late that it has ended already.
  if (url === null) return { view, isLive: false, closed: Promise.resolve() };
  const client = new SSEClient({ url, token: token ?? "", lastEventId: lastEventId ?? "" });
  const reader: Reader = {
    view,
    isLive: true,
    closed: new Promise((resolve, reject) => {
      client.onConnectionChange((state, { reason, error }) => {
        if (reason === "session-ended") resolve();
        else if (state === "error") reject(error);
      });
    }),
  };
  client.on("*", (data, { type }) => {
    const step = toStep(type, data);
    if (step) reader.view = step.n > snapshot.n ? withStep(reader.view, step) : reader.view;
    if (type === "gap") reader.view = { ...reader.view, gaps: reader.view.gaps + 1 };
  });
  client.connect();
  return reader;
}
