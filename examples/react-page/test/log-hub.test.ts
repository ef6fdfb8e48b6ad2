import type { Browser, Route } from "playwright-core";
import { expect, test } from "vitest";
import { visit, type Visit } from "./kit/browser.ts";
import { expectState, onRealHub, type RealHub } from "./kit/stage.ts";

// The log panel and a real hub: lines are posted as `watertight run` posts them.

let browser: Browser;
let hub: RealHub;
let address: string;
let it: Visit;
/** Each test has a deployment of its own. */
let deployment = 0;

onRealHub({ panel: "log", path: () => `?deployment=${++deployment}#logs` }, (stage) => ({ browser, hub, address, it } = stage));

const state = (name: string): Promise<void> => expectState(it, "log", name);
const drawn = (): Promise<string[]> =>
  it.page
    .locator(".log-row")
    .evaluateAll((rows) => rows.map((row) => row.querySelector(".log-text, .log-said")?.textContent ?? ""));
const range = (from: number, to: number, run = ""): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `${run}line ${from + index}`);

/** Posts lines with their numbers; `run` says which run they are of. */
async function post(from: number, to: number, { run = "", query = "" } = {}): Promise<void> {
  const at = 1_764_185_513 + run.length * 1_000;
  const body = range(from, to, run).map((text, index) =>
    JSON.stringify({ line: from + index, stream: "stdout", at: at + from + index, text }),
  );
  await feed(body.join("\n"), "application/x-ndjson", query);
}

async function feed(body: string, type: string, query = ""): Promise<void> {
  const answer = await fetch(`${hub.url}/deployments/${deployment}/logs${query}`, {
    method: "POST",
    headers: { "content-type": type },
    body,
  });
  expect([answer.status, answer.status === 202 ? "" : await answer.text()]).toEqual([202, ""]);
}

test("shows lines as they come, of any feed, and the end with its exit code; and tells it to who comes late", async () => {
  await post(1, 3);
  await expect.poll(drawn).toEqual(range(1, 3));
  await feed("\x1b[31mplain\x1b[0m text\n123\n", "text/plain");
  await expect.poll(drawn).toEqual([...range(1, 3), "plain text", "123"]);
  await post(4, 4, { query: "?end=true&exit_code=7" });
  await expect.poll(() => it.part("log-end").innerText()).toMatch(/^Ended with exit code 7, /);
  await state("closed");
  expect(await it.part("log-state").getAttribute("data-reason")).toBe("session-ended");
  const late = await visit(browser, `${address}?deployment=${deployment}#logs`);
  await expect.poll(() => late.part("log-end").innerText()).toMatch(/^Ended with exit code 7, /);
  expect(await late.page.locator(".log-row").count()).toBe(7);
  await late.page.close();
});

test("a new run of the same deployment is a new log, and none of its lines is taken for one of the old", async () => {
  await post(1, 3, { query: "?end=true&exit_code=1" });
  await state("closed");
  await post(1, 2, { run: "new ", query: "?reopen=true" });
  await it.click("log-connect");
  await state("open");
  await expect.poll(async () => (await drawn()).slice(-2)).toEqual(range(1, 2, "new "));
  expect(await drawn()).toContain("Another run begins here: its lines are numbered anew");
  expect(await it.part("log-end").count()).toBe(0);
});

test("a hub that is killed loses nothing of a log that is sent again, and nothing is shown twice", async () => {
  await post(1, 50);
  await expect.poll(async () => (await drawn()).at(-1)).toBe("line 50");
  const pid = hub.pid() ?? 0;
  process.kill(pid, "SIGKILL");
  await state("reconnecting");
  await expect.poll(hub.pid).not.toBe(pid);
  // What `watertight run` does with its spool.
  await expect
    .poll(() =>
      fetch(`${hub.url}/stats`).then(
        (answer) => answer.ok,
        () => false,
      ),
    )
    .toBe(true);
  await post(1, 60);
  await expect.poll(async () => (await drawn()).at(-1)).toBe("line 60");
  expect(await it.part("log-counts").innerText()).toBe("60 lines, 50 sent again, shown once");
  const rows = await drawn();
  expect(rows.slice(-10)).toEqual(range(51, 60));
  expect(rows.at(-11)).toMatch(/by their numbers none is missing/);
});

test("where no stream gets through, long-polls bring the lines and the end", async () => {
  const block = (route: Route): Promise<void> =>
    route.request().headers()["accept"] === "text/event-stream" ? route.abort() : route.continue();
  await it.page.route("**/hub/deployments/**", block);
  deployment++;
  await it.part("deployment").fill(`${deployment}`);
  await it.click("watch");
  await post(1, 3);
  await state("polling");
  await expect.poll(drawn).toEqual(range(1, 3));
  await post(4, 4, { query: "?end=true&exit_code=0" });
  await expect.poll(() => it.part("log-end").innerText()).toMatch(/^Ended with exit code 0, /);
  await state("closed");
});
