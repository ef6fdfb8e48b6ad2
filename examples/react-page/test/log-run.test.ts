import { afterEach, expect, test } from "vitest";
import type { Visit } from "./kit/browser.ts";
import { startRun, type Run } from "./kit/run.ts";
import { expectState, onRealHub, type RealHub } from "./kit/stage.ts";

// A command under `watertight run`, a real hub, and the log panel in a browser.

let hub: RealHub;
let it: Visit;
let run: Run;
/** Each test has a deployment of its own. */
let tests = 0;

onRealHub({ panel: "log", path: () => `?deployment=run-${++tests}#logs` }, (stage) => {
  ({ hub, it } = stage);
  run = startRun(hub.binary, hub.url, `run-${tests}`);
});

afterEach(() => run.kill());

const state = (name: string): Promise<void> => expectState(it, "log", name);

/** A row as it is drawn: its number, its mark of a stream, its words, and whether it says that it has not ended. */
type Drawn = readonly [number: string, stream: string, text: string, isPartial: boolean];

const drawn = (): Promise<Drawn[]> =>
  it.page.locator(".log-row").evaluateAll((rows) =>
    rows.map((row) => {
      const words = (part: string): string => row.querySelector(part)?.textContent ?? "";
      return [words(".log-number"), words(".log-stream"), words(".log-text, .log-said"), row.textContent.includes("not ended yet")] as const;
    }),
  );

test("the output of a command is seen as it comes: its errors are marked, its progress is one line, its end has the exit code", async () => {
  run.say("echo compiling; echo 'careful!' >&2");
  // Which of two outputs is read first is not told.
  await expect.poll(async () => (await drawn()).map(([, stream, text]) => `${stream} ${text}`).sort()).toEqual(["err careful!", "out compiling"]);
  run.say("printf '10%%'");
  await expect.poll(async () => (await drawn()).slice(2)).toEqual([["3", "out", "10%", true]]);
  run.say("printf '\\r80%%'");
  await expect.poll(async () => (await drawn()).slice(2)).toEqual([["3", "out", "80%", true]]);
  run.say("printf '\\r100%%\\n'; echo done");
  await expect.poll(async () => (await drawn()).slice(2)).toEqual([
    ["3", "out", "100%", false],
    ["4", "out", "done", false],
  ]);
  expect(await run.exit(7)).toBe(7);
  await expect.poll(() => it.part("log-end").innerText()).toMatch(/^Ended with exit code 7, /);
  await state("closed");
  expect(await it.part("log-counts").innerText()).toBe("4 lines");
});

test("a hub that is killed under a command and started again shows every line once, in order", async () => {
  const lines = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}`);
  run.say("seq -f 'line %g' 1 15");
  await expect.poll(async () => (await drawn()).map(([, , text]) => text)).toEqual(lines(1, 15));
  const pid = hub.pid() ?? 0;
  process.kill(pid, "SIGKILL");
  await state("reconnecting");
  // While no hub is there.
  run.say("seq -f 'line %g' 16 25");
  await expect.poll(hub.pid).not.toBe(pid);
  await expect.poll(async () => (await drawn()).at(-1)?.[2]).toBe("line 25");
  run.say("seq -f 'line %g' 26 35");
  expect(await run.exit(0)).toBe(0);
  await expect.poll(() => it.part("log-end").innerText()).toMatch(/^Ended with exit code 0, /);
  await state("closed");
  expect(await it.part("log-counts").innerText()).toBe("35 lines, 15 sent again, shown once");
  // All rows are drawn: there is room for so few.
  expect((await drawn()).map(([, , text]) => text)).toEqual([
    ...lines(1, 15),
    "The hub began anew; the lines were sent again, and by their numbers none is missing",
    ...lines(16, 35),
    expect.stringMatching(/^Ended with exit code 0, /),
  ]);
});
