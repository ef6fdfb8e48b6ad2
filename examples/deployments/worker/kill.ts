// The end of a build that does not end when it is asked to.
import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/**
 * Kills the command of a `watertight run`, with all of its group: `watertight run` tells of it, as of any end. Where the system does
 * not say which that is, `watertight run` itself, whose lines are sent later.
 */
export function killCommand(run: ChildProcess): void {
  if (run.exitCode !== null || run.signalCode !== null) return;
  let commands: number[];
  try {
    commands = childrenOf(run.pid ?? 0);
  } catch {
    return void run.kill("SIGKILL");
  }
  for (const pid of commands) kill(-pid) || kill(pid);
}

/** Kills both. */
export function killAll(run: ChildProcess): void {
  killCommand(run);
  run.kill("SIGKILL");
}

/** As Linux tells it: by the threads that started them. */
function childrenOf(pid: number): number[] {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).flatMap((task) => readFileSync(`${tasks}/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number));
}

/** @returns whether there was one */
function kill(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
  }
}
