// Keeps a server running: starts it, waits until it listens, starts it again when it dies, stops it when told to.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

/** How long one that died stays away, milliseconds: long enough to see the page notice. */
const RESTART_AFTER = Number(process.env["RESTART_AFTER"] ?? 2_000);
/** How often in a row it is tried to start it again: somebody may sit on its port for a moment. */
const LAUNCHES_MAX = 5;
/** How long one may take to listen, milliseconds. */
const READY_TIMEOUT = 60_000;
/** What one gets to stop in order, milliseconds. */
const STOP_GRACE = 15_000;

/**
 * @typedef {object} Kept
 * @property {string} url where it listens
 * @property {() => number | undefined} pid
 * @property {Promise<never>} failed rejects if it cannot be started again
 * @property {() => Promise<void>} stop
 */

/**
 * @typedef {object} Server
 * @property {string} name
 * @property {string} command
 * @property {(port: number) => readonly string[]} args
 * @property {(port: number) => Record<string, string | undefined>} env
 * @property {string} [cwd]
 * @property {RegExp} listens the line that it prints once it listens; its first group is the port
 */

/**
 * @param {Server} server
 * @param {number} port 0: a free one, and the same one when it is started again
 * @returns {Promise<Kept>}
 */
export async function keep({ name, command, args, env, cwd, listens }, port) {
  /** @type {import("node:child_process").ChildProcess | undefined} */
  let child;
  const stopping = new AbortController();

  const launch = async () => {
    // A group of its own: Ctrl-C in a terminal reaches `start.mjs` alone, which stops everything in order.
    const started = spawn(command, args(port), { stdio: ["ignore", "pipe", "inherit"], env: env(port), cwd, detached: true });
    child = started;
    const timer = setTimeout(() => started.kill("SIGKILL"), READY_TIMEOUT);
    try {
      port = await new Promise((resolve, reject) => {
        // Read to the end, or it would stall. What matters of its log is on standard error.
        createInterface(started.stdout).on("line", (line) => {
          const [, told] = listens.exec(line) ?? [];
          if (told) resolve(Number(told));
        });
        started.once("error", reject);
        started.once("exit", (code, signal) => reject(new Error(`the ${name} ended with ${signal ?? code} before it listened`)));
      });
    } finally {
      clearTimeout(timer);
    }
    return started;
  };

  /** @returns {Promise<import("node:child_process").ChildProcess>} */
  const relaunch = async () => {
    for (let tries = 1; ; tries++) {
      await sleep(RESTART_AFTER, undefined, { signal: stopping.signal }).catch(() => {});
      // Nobody is to hear of it any more, and a promise that never settles keeps nothing alive.
      if (stopping.signal.aborted) return new Promise(() => {});
      try {
        return await launch();
      } catch (error) {
        if (tries >= LAUNCHES_MAX) throw error;
      }
    }
  };

  /** @param {import("node:child_process").ChildProcess} running @returns {Promise<never>} */
  const watch = async (running) => {
    for (;;) {
      if (running.exitCode === null && running.signalCode === null) await once(running, "exit");
      if (!stopping.signal.aborted) console.log(`${name}: ended with ${running.signalCode ?? running.exitCode}; starting it again`);
      running = await relaunch();
      console.log(`${name}: back at http://127.0.0.1:${port}  (pid ${running.pid})`);
    }
  };

  // However we end, it does not stay behind. Nobody waits for it then, so there is no order left to end in.
  const last = () => void child?.kill("SIGKILL");
  process.once("exit", last);
  const failed = watch(await launch());
  failed.catch(() => {});
  return {
    url: `http://127.0.0.1:${port}`,
    pid: () => child?.pid,
    failed,
    async stop() {
      stopping.abort();
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
