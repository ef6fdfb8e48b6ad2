import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { buildHub } from "../../react-page/scripts/hub.mjs";
import { launch } from "./kit/visit.ts";

// What a newcomer does: one command, the page, Ctrl-C.

test("`npm start` starts everything and says where it is and which users there are; Ctrl-C ends all of it", async () => {
  const binary = process.env["WATERTIGHT_BIN"] ?? (await buildHub({ release: false }));
  const data = mkdtempSync(join(tmpdir(), "deployments-start-"));
  onTestFinished(() => rmSync(data, { recursive: true, force: true }));
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(WATERTIGHT_|REDIS_URL$)/.test(name)));
  const child = spawn(process.execPath, ["--import", "tsx", fileURLToPath(new URL("../scripts/start.ts", import.meta.url))], {
    env: { ...inherited, WATERTIGHT_BIN: binary, PORT: "0", DATA_DIR: data, NODE_ENV: "development" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const lines: string[] = [];
  createInterface(child.stdout).on("line", (line) => lines.push(line));
  await expect.poll(() => lines.some((line) => line.includes("Ctrl-C"))).toBe(true);
  const told = (pattern: RegExp): string => lines.map((line) => pattern.exec(line)?.[1]).find(Boolean) ?? "";
  const pids = ["redis", "hub", "api", "worker"].map((name) => Number(told(new RegExp(`^${name}: there \\(pid (\\d+)\\)$`))));
  expect(pids.every((pid) => pid > 0)).toBe(true);

  const browser = await launch();
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  await page.goto(told(/^ +page +(\S+)$/));
  await page.getByTestId("user").fill("ada");
  await page.getByTestId("password").fill(told(/ada +(\S+)$/));
  await page.getByTestId("sign-in").click();
  await page.getByTestId("build-site").click();
  await expect.poll(() => page.getByTestId("log-end").innerText()).toMatch(/^Ended with exit code 0, /);

  child.kill("SIGINT");
  expect(await exited).toEqual([0, null]);
  expect(lines.at(-1)).toBe("everything is stopped");
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});
