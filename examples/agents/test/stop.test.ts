import { expect, test } from "vitest";
import { startApp } from "./kit/app.ts";
import { launch, open } from "./kit/browser.ts";

test("Ctrl-C ends everything in order: runs are interrupted, the page is told, and no process is left", async () => {
  const app = await startApp();
  const browser = await launch();
  try {
    const tab = await open(browser, app.page, "ada");
    await tab.start("Stop me", 600);
    await tab.hasText(50);
    const pids = app.lines.map((line) => /\(pid (\d+)/.exec(line)?.[1]).filter((pid) => pid !== undefined);
    expect(pids.length).toBe(2);
    expect(await app.stop()).toBe(0);
    // The service goes first, so its last steps still reach the hub, and by it the page.
    await expect.poll(() => tab.run("status")).toBe("interrupted");
    expect(app.lines.at(-1)).toBe("stopping");
    for (const pid of pids) expect(() => process.kill(Number(pid), 0)).toThrow("ESRCH");
    await expect(fetch(app.page)).rejects.toThrow();
    expect(tab.errors).toEqual([]);
  } finally {
    await browser.close();
  }
});
