import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { buildHub } from "../../scripts/hub.mjs";

/** What `npm start` starts, as a process of its own. */
export interface App {
  /** Addresses. */
  readonly hub: string;
  readonly page: string;
  /** Everything that was printed so far. */
  readonly lines: readonly string[];
  /** Ctrl-C alone. */
  interrupt(): void;
  hasEnded(): boolean;
  /** Ctrl-C. Resolves to the exit code. */
  stop(): Promise<number | null>;
}

/** Starts everything on free ports. */
export async function startApp(): Promise<App> {
  const binary = process.env["WATERTIGHT_BIN"] ?? (await buildHub({ release: false }));
  // Settings of the caller's own are none of a test's hub.
  const { HUB_URL: _, HUB_PORT: __, SESSION: ___, ...env } = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("WATERTIGHT_")),
  );
  const child = spawn(process.execPath, [fileURLToPath(new URL("../../scripts/start.mjs", import.meta.url))], {
    env: {
      ...env,
      WATERTIGHT_BIN: binary,
      WATERTIGHT_TOMBSTONE_TTL: "500ms",
      PORT: "0",
      RATE: "20",
      NODE_ENV: "development",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const lines: string[] = [];
  const output = createInterface(child.stdout);
  await new Promise<void>((resolve, reject) => {
    output.on("line", (line) => {
      lines.push(line);
      if (line.includes("Ctrl-C")) resolve();
    });
    child.once("exit", (code) => reject(new Error(`npm start ended with ${code}: ${lines.join("\n")}`)));
    child.once("error", reject);
  });
  const address = (of: string): string =>
    lines.map((line) => new RegExp(`^ *${of} +(http\\S+)`).exec(line)?.[1]).find(Boolean) ?? "";
  return {
    hub: address("hub"),
    page: address("page"),
    lines,
    interrupt: () => void child.kill("SIGINT"),
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    async stop() {
      child.kill("SIGINT");
      const [code] = (await exited) as [number | null];
      return code;
    },
  };
}

interface Count {
  readonly live: number;
  readonly opened: number;
  readonly closed: number;
}

/** The hub's own account. */
export interface Stats {
  readonly ledger: Readonly<Record<"request" | "subscription" | "source" | "session", Count>>;
  readonly totalSubscribers: number;
  readonly process: { readonly pid: number };
}

export async function askStats(hub: string): Promise<Stats> {
  const answer = await fetch(`${hub}/stats`);
  return (await answer.json()) as Stats;
}
