import { expect, test } from "vitest";
import { startApp } from "./kit/app.ts";
import { launch, open } from "./kit/browser.ts";

test("Ctrl-C ends everything in order: runs are interrupted, the page is told, and no process is left", async () => {
  // However long this process stands still in between, the second signal below is none of its own.
  const app = await startApp({ SAME_SIGNAL: "30000" });
  const browser = await launch();
  try {
    const tab = await open(browser, app.page, "ada");
    await tab.start("Stop me", 600);
    await tab.hasText(50);
    const pids = app.pids();
    app.interrupt();
    await expect.poll(() => app.lines, { interval: 5 }).toContain("stopping");
    // npm passes on what the terminal has sent already: that is one Ctrl-C all the same.
    expect(await app.stop()).toBe(0);
    // The service goes first, so its last steps still reach the hub, and by it the page.
    await expect.poll(() => tab.run("status")).toBe("interrupted");
    expect(app.lines.at(-1)).toBe("stopping");
    expect(pids.map(isThere)).toEqual([false, false]);
    await expect(fetch(app.page)).rejects.toThrow();
    expect(tab.errors).toEqual([]);
  } finally {
    await browser.close();
  }
});

test("a second Ctrl-C during a stop that takes long ends everything at once, and no process is left", async () => {
  const app = await startApp();
  const pids = app.pids();
  // The service takes no signal now but the last one, which the first Ctrl-C alone would send after 15 s.
  process.kill(pids[1], "SIGSTOP");
  app.interrupt();
  await expect.poll(() => app.lines).toContain("stopping");
  await expect.poll(() => (app.interrupt(), app.hasEnded()), { interval: 100, timeout: 10_000 }).toBe(true);
  expect(await app.stop()).toBe(130);
  // Whoever is left without a parent is given to another process, which takes note of its end in its own time.
  await expect.poll(() => pids.map(isThere)).toEqual([false, false]);
});

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
