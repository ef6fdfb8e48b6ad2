import { expect, test } from "vitest";
import { askStats, startApp } from "./kit/app.ts";

test("a second Ctrl-C during a stop that takes long ends everything at once, and the hub does not stay behind", async () => {
  const app = await startApp();
  const { pid } = (await askStats(app.hub)).process;
  // It takes no signal now but the last one, which the first Ctrl-C alone would send after 15 s.
  process.kill(pid, "SIGSTOP");
  app.interrupt();
  await expect.poll(() => app.lines).toContain("stopping");
  await expect.poll(() => (app.interrupt(), app.hasEnded()), { interval: 100, timeout: 10_000 }).toBe(true);
  expect(await app.stop()).toBe(130);
  // Whoever is left without a parent is given to another process, which takes note of its end in its own time.
  await expect.poll(() => isThere(pid)).toBe(false);
});

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
