// A build: a project's `build.mjs` under `watertight run`, which sends what it prints to the API's feed, and ends as it ends.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Deployment } from "../api/deployments.ts";
import type { WorkerSettings } from "../api/settings.ts";
import type { Tokens } from "../api/tokens.ts";

/** How long a build may take, milliseconds. */
const BUILD_TIMEOUT = 10 * 60_000;
/** How long its lines may take when it is over, seconds: as long as Redis may be away. */
const DRAIN_TIMEOUT = 600;
/** When the worker is to stop, seconds: what is left then is sent by the next one. */
const DRAIN_ON_STOP = 5;
/** Of the token that the lines are sent with, seconds: longer than both. */
const TOKEN_LIFETIME = BUILD_TIMEOUT / 1_000 + DRAIN_TIMEOUT + 300;

const projects = fileURLToPath(new URL("../projects", import.meta.url));
/** All that a build is told of our environment: nothing of it is secret. */
const PASSED = ["PATH", "HOME", "LANG", "TMPDIR", "SLOWLY"];

export class Builds {
  readonly #settings: WorkerSettings;
  readonly #tokens: Tokens;
  readonly #live = new Set<ChildProcess>();

  constructor(settings: WorkerSettings, tokens: Tokens) {
    this.#settings = settings;
    this.#tokens = tokens;
  }

  /** Builds; resolves to the exit code when the log has been sent, or kept for `sendLeft`. */
  async run({ id, project }: Deployment): Promise<number> {
    const folder = this.#folder(id);
    const output = join(this.#settings.data, "output", id);
    await mkdir(output, { recursive: true });
    const child = await this.#watertight(id, [
      "--deployment",
      id,
      "--spool-dir",
      folder,
      "--drain-timeout",
      `${DRAIN_TIMEOUT}`,
      "--no-echo",
      "--",
      process.execPath,
      join(projects, project, "build.mjs"),
      output,
    ]);
    const timer = setTimeout(() => child.kill("SIGTERM"), BUILD_TIMEOUT);
    try {
      return await this.#ended(child);
    } finally {
      clearTimeout(timer);
      await this.#tidy(id);
    }
  }

  /**
   * Sends the lines that an earlier run of a build has left here, if it did.
   *
   * @returns whether nothing of it is left; `false` also while it has not ended
   */
  async sendLeft(id: string): Promise<boolean> {
    for (const file of await this.#left(id)) {
      const child = await this.#watertight(id, ["--drain-timeout", `${DRAIN_ON_STOP}`, "--resend", file], "ignore");
      if ((await this.#ended(child)) !== 0) return false;
    }
    await this.#tidy(id);
    return true;
  }

  /** Ends all builds as Ctrl-C does; they still tell how they ended. */
  stop(): void {
    for (const child of this.#live) {
      child.kill("SIGTERM");
      // Then it sends what is left; a second signal ends that, too.
      setTimeout(() => child.kill("SIGTERM"), DRAIN_ON_STOP * 1_000).unref();
    }
  }

  async #watertight(id: string, options: readonly string[], stderr: "inherit" | "ignore" = "inherit"): Promise<ChildProcess> {
    const { watertight, feedUrl } = this.#settings;
    await mkdir(this.#folder(id), { recursive: true });
    // In a file: the command inherits the environment, and could print it into its log.
    const token = join(this.#folder(id), "token");
    await writeFile(token, await this.#tokens.feeder(id, TOKEN_LIFETIME), { mode: 0o600 });
    const passed = Object.fromEntries(PASSED.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
    const child = spawn(watertight, ["run", "--quiet", "--hub", feedUrl, "--token-file", token, ...options], {
      stdio: ["ignore", "inherit", stderr],
      env: { ...passed, FORCE_COLOR: "1" },
      // A group of its own: Ctrl-C in a terminal reaches the platform alone, which stops everything in order.
      detached: true,
    });
    this.#live.add(child);
    return child;
  }

  /** The exit code; that of a shell where a signal ended it. */
  async #ended(child: ChildProcess): Promise<number> {
    try {
      const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
      return code ?? (signal === "SIGKILL" ? 137 : 143);
    } finally {
      this.#live.delete(child);
    }
  }

  /** What `watertight run` has left: the lines that nobody has taken yet. */
  async #left(id: string): Promise<string[]> {
    const files = await readdir(this.#folder(id)).catch(() => []);
    return files.filter((file) => file !== "token").map((file) => join(this.#folder(id), file));
  }

  /** Without lines that are left, a build leaves nothing but its output. */
  async #tidy(id: string): Promise<void> {
    const left = await this.#left(id);
    if (left.length) console.error(`worker: lines of ${id} are left in ${left.join(", ")}`);
    else await rm(this.#folder(id), { recursive: true, force: true });
  }

  #folder(id: string): string {
    return join(this.#settings.data, "spool", id);
  }
}
