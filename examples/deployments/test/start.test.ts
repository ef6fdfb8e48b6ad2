import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { expect, onTestFinished, test } from "vitest";
import { hubBinary } from "../scripts/binary.ts";
import { launch } from "./kit/visit.ts";

// What a newcomer does: one command, the page, Ctrl-C.

interface Started {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;
  readonly data: string;
  readonly lines: readonly string[];
  /** The numbers of the programs, by their names. */
  readonly pids: Readonly<Record<string, number>>;
  /** A page in which ada has signed in. */
  visit(): Promise<Page>;
}

async function npmStart(env: Readonly<Record<string, string>> = {}): Promise<Started> {
  const binary = await hubBinary({ release: false });
  const data = mkdtempSync(join(tmpdir(), "deployments-start-"));
  onTestFinished(() => rmSync(data, { recursive: true, force: true, maxRetries: 5 }));
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(WATERTIGHT_|REDIS_URL$)/.test(name)));
  const child = spawn(process.execPath, ["--import", "tsx", fileURLToPath(new URL("../scripts/start.ts", import.meta.url))], {
    env: { ...inherited, WATERTIGHT_BIN: binary, PORT: "0", DATA_DIR: data, NODE_ENV: "development", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGTERM"));
  const exited = once(child, "exit");
  const lines: string[] = [];
  createInterface(child.stdout).on("line", (line) => lines.push(line));
  await expect.poll(() => lines.some((line) => line.includes("Ctrl-C"))).toBe(true);
  const told = (pattern: RegExp): string => lines.map((line) => pattern.exec(line)?.[1]).find(Boolean) ?? "";
  const pidOf = (name: string): number => Number(told(new RegExp(`^${name}: there \\(pid (\\d+)\\)$`)));
  const pids = Object.fromEntries(["redis", "hub", "api", "worker"].map((name) => [name, pidOf(name)]));
  expect(Object.values(pids).every((pid) => pid > 0)).toBe(true);
  return {
    child,
    exited,
    data,
    lines,
    pids,
    async visit() {
      const browser = await launch();
      onTestFinished(() => browser.close());
      const page = await browser.newPage();
      await page.goto(told(/^ +page +(\S+)$/));
      await page.getByTestId("user").fill("ada");
      await page.getByTestId("password").fill(told(/ada +(\S+)$/));
      await page.getByTestId("sign-in").click();
      return page;
    },
  };
}

test("`npm start` starts everything and says where it is and which users there are; Ctrl-C ends all of it", async () => {
  const { child, exited, lines, pids, visit } = await npmStart();
  const page = await visit();
  await page.getByTestId("build-site").click();
  await expect.poll(() => page.getByTestId("log-end").innerText()).toMatch(/^Ended with exit code 0, /);

  child.kill("SIGINT");
  expect(await exited).toEqual([0, null]);
  expect(lines.at(-1)).toBe("everything is stopped");
  for (const pid of Object.values(pids)) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

/** Processes that were told of this folder. */
function processesIn(folder: string): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return words.some((word) => word.startsWith(folder)) ? [words.join(" ")] : [];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

test("a second Ctrl-C does not wait: everything is killed, builds included, and nothing stays behind", async () => {
  const { child, exited, data, lines, pids, visit } = await npmStart({ SLOWLY: "600000" });
  const page = await visit();
  await page.getByTestId("build-pages").click();
  await expect.poll(() => processesIn(data).filter((words) => words.includes("build.mjs")).length).toBeGreaterThan(0);
  // They do not hear that they are to stop.
  for (const name of ["redis", "hub"]) process.kill(pids[name] ?? 0, "SIGSTOP");

  child.kill("SIGINT");
  await expect.poll(() => lines).toContain("stopping");
  // What comes right after it is the same one, passed on by npm.
  await expect.poll(() => (child.kill("SIGINT"), child.exitCode), { interval: 100 }).not.toBeNull();
  expect(await exited).toEqual([130, null]);
  await expect.poll(() => processesIn(data)).toEqual([]);
  for (const pid of Object.values(pids)) await expect.poll(() => processExists(pid)).toBe(false);
});

function processExists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
