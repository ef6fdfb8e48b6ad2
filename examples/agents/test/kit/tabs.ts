import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium, type BrowserContext } from "playwright-core";
import { vi } from "vitest";
import { ARGS, CHROMIUM } from "./browser.ts";

/** A browser whose tabs hide each other, as they do for people; one that a test launches shows all of them at once. */
export interface Tabs {
  readonly context: BrowserContext;
  close(): Promise<void>;
}

export async function launchTabs(): Promise<Tabs> {
  const profile = mkdtempSync(join(tmpdir(), "agents-tabs-"));
  const child = spawn(CHROMIUM, [...ARGS, "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(child, "exit");
  const address = await new Promise<string>((resolve, reject) => {
    createInterface(child.stderr).on("line", (line) => {
      const [, told] = /DevTools listening on (ws:\S+)/.exec(line) ?? [];
      if (told) resolve(told);
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`Chromium ended with ${code}`)));
  });
  // Otherwise every tab would count as the one that is looked at.
  const browser = await chromium.connectOverCDP(address, { noDefaults: true });
  const [context] = browser.contexts();
  if (!context) throw new Error("Chromium has no context");
  return {
    context,
    async close() {
      await browser.close();
      child.kill();
      await exited;
      await removed(profile);
    },
  };
}

/** Takes a folder away. Processes that the browser has started outlive it for a moment, and write into its profile. */
async function removed(folder: string): Promise<void> {
  await vi.waitFor(() => rmSync(folder, { recursive: true, force: true }), { interval: 50, timeout: 30_000 });
}
