import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { supervise } from "../scripts/supervise.ts";

// Notes its number; is there at once, unless there is a file `slow`: then it never is.
const SCRIPT = 'echo $$ >> numbers; [ -e slow ] || echo there; exec sleep 1000';

test("a program that is stopped while it is started again does not stay behind", async () => {
  const folder = mkdtempSync(join(tmpdir(), "deployments-supervise-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const numbers = (): number[] => {
    const file = join(folder, "numbers");
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean).map(Number) : [];
  };
  const program = await supervise({
    name: "it",
    command: "sh",
    args: ["-c", `cd ${folder}; ${SCRIPT}`],
    env: process.env,
    ready: /^there$/,
    onLine: () => {},
    log: () => {},
  });
  writeFileSync(join(folder, "slow"), "");
  process.kill(program.pid() ?? 0, "SIGKILL");
  await expect.poll(() => numbers().length).toBe(2);
  expect(program.pid()).toBe(undefined);
  await program.stop();
  for (const pid of numbers()) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});
