// Builds and runs the hub of this repository, and starts it again where it was if somebody kills it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const manifest = fileURLToPath(new URL("../../../Cargo.toml", import.meta.url));

/** How long the hub stays away after it was killed, milliseconds: long enough to see the page notice. */
const RESTART_AFTER = 2_000;
/** How often it is tried to start it again: somebody may sit on its port for a moment. */
const LAUNCHES_MAX = 5;
/** What the hub gets to send its closing event to its readers, milliseconds. */
const STOP_GRACE = 15_000;

/**
 * Builds the hub with cargo.
 *
 * @param {{ release: boolean }} options
 * @returns {Promise<string>} where the binary is
 */
export async function buildHub({ release }) {
  const args = ["build", "--bin", "watertight", "--manifest-path", manifest, "--message-format=json-render-diagnostics"];
  const cargo = spawn("cargo", release ? [...args, "--release"] : args, { stdio: ["ignore", "pipe", "inherit"] });
  // Before the first wait: cargo may be missing, and that is told only once.
  const ended = once(cargo, "close");
  let binary = "";
  const lines = createInterface(cargo.stdout);
  lines.on("line", (line) => {
    /** @type {{ executable?: string | null }} */
    const message = line.startsWith("{") ? JSON.parse(line) : {};
    binary = message.executable ?? binary;
  });
  const [code] = await ended;
  if (code !== 0 || !binary) throw new Error(`cargo build ended with ${code}`);
  return binary;
}

/**
 * @typedef {object} Hub
 * @property {string} url
 * @property {() => number | undefined} pid
 * @property {Promise<never>} failed rejects if the hub cannot be started again
 * @property {() => Promise<void>} stop
 */

/**
 * Runs a hub on loopback until it is told to stop.
 *
 * @param {{ binary: string, port?: number, settings?: Record<string, string>, log?: (line: string) => void }} options
 *   `port` 0: a free one; `settings`: of the hub, by the names of its variables
 * @returns {Promise<Hub>}
 */
export async function startHub({ binary, port = 0, settings = {}, log = console.log }) {
  /** @type {import("node:child_process").ChildProcess | undefined} */
  let child;
  let stopping = false;

  // Its settings are the hub's (`WATERTIGHT_EVENT_TTL=10s npm start`), but it refuses a name that is none of them.
  const { WATERTIGHT_BIN: _, ...inherited } = process.env;
  const env = { ...inherited, ...settings };

  const launch = async () => {
    // A group of its own: Ctrl-C in a terminal reaches `start.mjs` alone, which stops everything in order.
    const started = spawn(binary, ["serve", "--listen", `127.0.0.1:${port}`, "--log-level", "warn"], {
      stdio: ["ignore", "pipe", "inherit"],
      env,
      detached: process.platform !== "win32",
    });
    child = started;
    port = await new Promise((resolve, reject) => {
      const lines = createInterface(started.stdout);
      lines.on("line", (line) => {
        const [, told] = /^watertight: listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(line) ?? [];
        if (told) resolve(Number(told));
      });
      started.once("error", reject);
      started.once("exit", (code, signal) => reject(new Error(`the hub ended with ${signal ?? code} before it listened`)));
    });
    return started;
  };

  /** @returns {Promise<import("node:child_process").ChildProcess>} */
  const relaunch = async () => {
    for (let tries = 1; ; tries++) {
      await sleep(RESTART_AFTER, undefined, { ref: false });
      // Nobody is to hear of it any more, and a promise that never settles keeps nothing alive.
      if (stopping) return new Promise(() => {});
      try {
        return await launch();
      } catch (error) {
        // One that is stopped before it listens has not failed.
        if (stopping) return new Promise(() => {});
        if (tries >= LAUNCHES_MAX) throw error;
      }
    }
  };

  /** @param {import("node:child_process").ChildProcess} hub @returns {Promise<never>} */
  const watch = async (hub) => {
    for (;;) {
      if (hub.exitCode === null && hub.signalCode === null) await once(hub, "exit");
      if (!stopping) log(`hub: ended with ${hub.signalCode ?? hub.exitCode}; starting it again in ${RESTART_AFTER / 1_000} s`);
      hub = await relaunch();
      log(`hub: back at http://127.0.0.1:${port} (pid ${hub.pid})`);
    }
  };

  // However we end, the hub does not stay behind. Nobody waits for it then.
  const last = () => void child?.kill("SIGKILL");
  process.once("exit", last);
  const failed = watch(await launch());
  failed.catch(() => {});
  return {
    url: `http://127.0.0.1:${port}`,
    pid: () => child?.pid,
    failed,
    async stop() {
      stopping = true;
      if (child && child.exitCode === null && child.signalCode === null) {
        const gone = once(child, "exit");
        child.kill("SIGTERM");
        const timer = setTimeout(() => child?.kill("SIGKILL"), STOP_GRACE);
        await gone;
        clearTimeout(timer);
      }
      process.off("exit", last);
    },
  };
}
