// A build: a project's `build.mjs` under `watertight run`, which sends what it prints to the API's feed, and ends as it ends.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Deployment } from "../api/deployments.ts";
import type { WorkerSettings } from "../api/settings.ts";
import type { Tokens } from "../api/tokens.ts";
import { killAll, killCommand } from "./kill.ts";

/** How long its lines may take when it is over, seconds: as long as Redis may be away. */
const DRAIN_TIMEOUT = 600;
/** When the worker is to stop, seconds: what is left then is sent by the next one. */
const DRAIN_ON_STOP = 5;
/** Of the token that the lines are sent with, seconds, beside the build itself and both. */
const TOKEN_MARGIN = 300;

/** All that a build is told of our environment: nothing of it is secret. */
const PASSED = ["PATH", "HOME", "LANG", "TMPDIR", "SLOWLY"];

export interface BuildsOptions {
  /** The folders of projects, by their names. */
  readonly projects?: string;
  /** How long a build may take, milliseconds. */
  readonly timeout?: number;
  /** What it gets to end when it is asked to, milliseconds; then it is killed. */
  readonly grace?: number;
}

/** A `watertight run` that runs. */
interface Run {
  readonly child: ChildProcess;
  /** The exit code; that of a shell where a signal ended it. Rejects if it could not be started. */
  readonly ended: Promise<number>;
}

export class Builds {
  readonly #settings: WorkerSettings;
  readonly #tokens: Tokens;
  readonly #options: Required<BuildsOptions>;
  readonly #live = new Set<ChildProcess>();
  #isStopping = false;

  constructor(settings: WorkerSettings, tokens: Tokens, options: BuildsOptions = {}) {
    this.#settings = settings;
    this.#tokens = tokens;
    const projects = fileURLToPath(new URL("../projects", import.meta.url));
    this.#options = { projects, timeout: 10 * 60_000, grace: 10_000, ...options };
  }

  /**
   * Builds.
   *
   * @returns the exit code when the log has been sent, or kept for `sendLeft`; `undefined` if `stop` came before it had begun
   */
  async run({ id, project }: Deployment): Promise<number | undefined> {
    const { projects, timeout, grace } = this.#options;
    const folder = this.#folder(id);
    const output = join(this.#settings.data, "output", id);
    await mkdir(output, { recursive: true });
    const run = await this.#watertight(id, [
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
    if (!run) return undefined;
    const { child, ended } = run;
    const timers = [
      setTimeout(() => child.kill("SIGTERM"), timeout),
      setTimeout(() => killCommand(child), timeout + grace),
      setTimeout(() => killAll(child), timeout + grace + (DRAIN_TIMEOUT + DRAIN_ON_STOP) * 1_000),
    ];
    try {
      return await ended;
    } finally {
      timers.forEach(clearTimeout);
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
      const run = await this.#watertight(id, ["--drain-timeout", `${DRAIN_ON_STOP}`, "--resend", file], "ignore");
      if ((await run?.ended) !== 0) return false;
    }
    await this.#tidy(id);
    return true;
  }

  /** Ends all builds as Ctrl-C does; they still tell how they ended. None begins any more. */
  stop(): void {
    this.#isStopping = true;
    const { grace } = this.#options;
    for (const child of this.#live) {
      child.kill("SIGTERM");
      // Then it sends what is left; a second signal ends that, too.
      setTimeout(() => child.kill("SIGTERM"), DRAIN_ON_STOP * 1_000).unref();
      setTimeout(() => killCommand(child), grace).unref();
      setTimeout(() => killAll(child), grace + DRAIN_ON_STOP * 1_000).unref();
    }
  }

  /** Kills all builds at once. */
  kill(): void {
    this.#isStopping = true;
    for (const child of this.#live) killAll(child);
  }

  async #watertight(id: string, options: readonly string[], stderr: "inherit" | "ignore" = "inherit"): Promise<Run | undefined> {
    const { watertight, feedUrl } = this.#settings;
    await mkdir(this.#folder(id), { recursive: true });
    // In a file: the command inherits the environment, and could print it into its log.
    const token = join(this.#folder(id), "token");
    const lifetime = this.#options.timeout / 1_000 + DRAIN_TIMEOUT + TOKEN_MARGIN;
    await writeFile(token, await this.#tokens.feeder(id, lifetime), { mode: 0o600 });
    // `stop` ends those that are there; nobody would end this one.
    if (this.#isStopping) return undefined;
    const passed = Object.fromEntries(PASSED.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
    const child = spawn(watertight, ["run", "--quiet", "--hub", feedUrl, "--token-file", token, ...options], {
      stdio: ["ignore", "inherit", stderr],
      env: { ...passed, FORCE_COLOR: "1" },
      // A group of its own: Ctrl-C in a terminal reaches the platform alone, which stops everything in order.
      detached: true,
    });
    this.#live.add(child);
    return { child, ended: this.#ended(child) };
  }

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
