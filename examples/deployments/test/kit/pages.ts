import { readdirSync, readFileSync } from "node:fs";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { upTo, type Way } from "./member.ts";
import { setStage, type PASSWORDS, type Stage, type StageOptions } from "./stage.ts";
import { launch, Visit, type Beside } from "./visit.ts";

/** A platform and a browser for all tests of a file. */
export interface Pages {
  readonly stage: Stage;
  readonly browser: Browser;
  /** The page of somebody who has signed in; closed after the test. */
  visit(user: keyof typeof PASSWORDS, way: Way, more?: string, beside?: Beside): Promise<Visit>;
  /** The page of nobody, or another tab of the browser of `beside`. */
  begin(query: string, beside?: Beside): Promise<Visit>;
}

/** Each test has to leave no error in a page, and nothing of its streams anywhere. */
export function onPages(options: StageOptions): Pages {
  let stage: Stage;
  let browser: Browser;
  const open: Visit[] = [];
  const kept = (visit: Visit): Visit => {
    open.push(visit);
    return visit;
  };
  beforeAll(async () => {
    stage = await setStage(options);
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
  return {
    get stage() {
      return stage;
    },
    get browser() {
      return browser;
    },
    visit: async (...args) => kept(await Visit.of(browser, stage, ...args)),
    begin: async (query, beside) => kept(await Visit.begin(browser, stage, query, beside)),
  };
}

/** What the project `pages` prints: a heading, eight pages, a warning, an end. */
const LINES = 11;

/** The log of a build of the project `pages` comes to its end: each line is there once, and the list knows it. */
export async function expectWholeBuild(it: Visit, id: string): Promise<void> {
  await expect.poll(() => it.end(), { timeout: 120_000 }).toMatch(/^Ended with exit code 0, /);
  expect((await it.numbers()).sort((a, b) => a - b)).toEqual(upTo(LINES));
  await expect.poll(() => it.listed(id)).toBe("succeeded");
}

/** A build has begun: its first lines are seen. */
export async function beginBuild(it: Visit): Promise<string> {
  await it.becomes("list", "open");
  const id = await it.build("pages");
  await expect.poll(async () => (await it.numbers()).length).toBeGreaterThan(1);
  return id;
}

/** Lets a build whose first lines were seen go on without `SLOWLY`: the middle of it is as long as a test needs. */
export function hurry(id: string): void {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const [command, , output] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      if (command === process.execPath && output?.endsWith(`/output/${id}`)) process.kill(Number(pid), "SIGUSR2");
    } catch {
      // It has ended meanwhile.
    }
  }
}
