import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import { here } from "../../scripts/files.mjs";
import { Way } from "./network.ts";

/** What `npm start` starts, as a process of its own, on free ports and with a database of its own. */
export interface App {
  /** Where hub and service listen, and where a browser sees the page, without a slash at the end. */
  readonly hub: string;
  readonly service: string;
  readonly page: string;
  /** Cuts every browser off from both, until `mendNetwork`. */
  cutNetwork(): void;
  mendNetwork(): void;
  /** Everything that was printed so far. */
  readonly lines: readonly string[];
  /** The processes of its two servers. */
  pids(): readonly [hub: number, service: number];
  /** Kills one of its two servers, and resolves once that is started again. */
  killAndWait(name: "hub" | "service"): Promise<void>;
  kill(name: "hub" | "service"): void;
  isBack(name: "hub" | "service"): Promise<void>;
  /** The hub's own account of what is open. */
  stats(): Promise<Stats>;
  /** Ctrl-C, once more, too. */
  interrupt(): void;
  hasEnded(): boolean;
  /** Ctrl-C. Resolves to the exit code. */
  stop(): Promise<number | null>;
}

interface Count {
  readonly live: number;
  readonly opened: number;
  readonly closed: number;
}

export interface Stats {
  readonly ledger: Readonly<Record<"request" | "subscription" | "source" | "session", Count>>;
  readonly process: { readonly pid: number };
}

/**
 * @param settings variables of `start.mjs`
 * @param folder another copy of the application
 */
export async function startApp(settings: Record<string, string> = {}, folder = here): Promise<App> {
  const { WATERTIGHT_BIN, AGENTS_PYTHON } = process.env;
  if (!WATERTIGHT_BIN || !AGENTS_PYTHON) throw new Error("run `npm test`: it makes the hub and the Python environment that tests need");
  const [toPage, toHub] = [await Way.open(), await Way.open()];
  const data = mkdtempSync(join(tmpdir(), "agents-"));
  // Settings of the caller's own are none of a test's hub.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("WATERTIGHT_")));
  const child = spawn(process.execPath, [join(folder, "scripts/start.mjs")], {
    env: {
      ...env,
      ...{ WATERTIGHT_BIN, WATERTIGHT_STATS_PUBLIC: "true", PORT: "0", HUB_PORT: "0", DATA: data },
      ...{ PUBLIC_URL: toPage.url, HUB_PUBLIC_URL: toHub.url },
      ...settings,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    createInterface(child.stdout).on("line", (line) => {
      lines.push(line);
      if (line.includes("Ctrl-C")) resolve();
    });
    child.once("exit", (code) => reject(new Error(`npm start ended with ${code}: ${lines.join("\n")}`)));
    child.once("error", reject);
  });
  const told = (what: RegExp): string => lines.map((line) => what.exec(line)?.[1]).findLast(Boolean) ?? "";
  const address = (of: string): string => told(new RegExp(`^ *${of} +(http\\S+?)/?( |$)`));
  const pid = (of: string): number => Number(told(new RegExp(`^ *${of}:? .*\\(pid (\\d+)`)));
  const hub = address("hub");
  toHub.leadTo(hub);
  toPage.leadTo(address("service"));
  let killed = 0;
  const app: App = {
    hub,
    service: address("service"),
    page: toPage.url,
    lines,
    pids: () => [pid("hub"), pid("service")],
    cutNetwork() {
      toPage.cut();
      toHub.cut();
    },
    mendNetwork() {
      toPage.mend();
      toHub.mend();
    },
    kill(name) {
      killed = pid(name);
      process.kill(killed, "SIGKILL");
    },
    isBack: (name) => expect.poll(() => pid(name)).not.toBe(killed),
    async killAndWait(name) {
      app.kill(name);
      await app.isBack(name);
    },
    async stats() {
      const answer = await fetch(`${hub}/stats`);
      return (await answer.json()) as Stats;
    },
    interrupt: () => void child.kill("SIGINT"),
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    async stop() {
      app.interrupt();
      const [code] = (await exited) as [number | null];
      await Promise.all([toPage.close(), toHub.close()]);
      rmSync(data, { recursive: true });
      return code;
    },
  };
  return app;
}

/** Every stream was given back: what the hub opened, it closed. */
export async function expectNothingLeft(app: App): Promise<void> {
  await expect
    .poll(async () => {
      const { subscription, source } = (await app.stats()).ledger;
      return [subscription.opened - subscription.closed, subscription.live, source.live];
    })
    .toEqual([0, 0, 0]);
}
