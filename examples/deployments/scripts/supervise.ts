// A program that is to run: started again where it was if it ends, until it is told to stop.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

/** How long a program stays away after it has ended by itself, milliseconds: long enough to see the page notice. */
const RESTART_AFTER = 2_000;
/** How often it is tried to start it again: somebody may sit on its port for a moment. */
const LAUNCHES_MAX = 5;
/** What a program gets to end in order, milliseconds. */
const STOP_GRACE = 20_000;
/** What it gets when all are killed and it has something to kill itself, milliseconds. */
const KILL_GRACE = 5_000;
/** Lines of a program that could not be started. */
const WORDS_MAX = 20;

export interface ProgramOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** What it prints when it is there. */
  readonly ready: RegExp;
  /** Called each time that it is there. */
  readonly onReady?: (pid: number) => void;
  /** Lines that it prints; those before it is there as well. */
  readonly onLine: (line: string, output: "stdout" | "stderr") => void;
  /** How it is told to end at once: `SIGKILL`, unless it has to take others with it. */
  readonly killSignal?: NodeJS.Signals;
  readonly log: (line: string) => void;
}

/** A program that runs, or will run again. */
export interface Program {
  readonly name: string;
  /** `undefined` while it is away. */
  pid(): number | undefined;
  /** Rejects if it cannot be started again. */
  readonly failed: Promise<never>;
  /** Kills it, and leaves it away until `start`: for tests, and for those who want to see what happens. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Ends it in order. */
  stop(): Promise<void>;
}

/** All that run, those that are not there yet included. */
const running = new Map<ChildProcess, NodeJS.Signals>();
// However we end, none of them stays behind.
process.once("exit", () => void signalAll());

/** Ends all programs at once; resolves when none is left. */
export async function killAll(): Promise<void> {
  const all = signalAll();
  const timer = setTimeout(() => all.forEach((child) => child.kill("SIGKILL")), KILL_GRACE);
  await Promise.all(all.map((child) => hasEnded(child) || once(child, "exit")));
  clearTimeout(timer);
}

function signalAll(): ChildProcess[] {
  for (const [child, signal] of running) child.kill(signal);
  return [...running.keys()];
}

/** Starts a program; resolves when it is there. */
export async function supervise(options: ProgramOptions): Promise<Program> {
  const { name, log } = options;
  /** Also while it is not there yet. */
  let child: ChildProcess | undefined;
  let isThere = false;
  /** Counts what was wanted of it, so that nobody starts it again who was overtaken by a kill or another start. */
  let wish = 0;
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => (fail = reject));
  failed.catch(() => {});

  /** Resolves when it is there, or is not to be any more: `false`. */
  const start = async (): Promise<boolean> => {
    const mine = ++wish;
    const [started, ready] = launch(options);
    child = started;
    try {
      await ready;
    } catch (error) {
      if (wish !== mine) return false;
      throw error;
    }
    if (wish !== mine) return false;
    isThere = true;
    options.onReady?.(started.pid ?? 0);
    const onExit = (): void => {
      if (child === started) isThere = false;
      if (wish !== mine) return;
      log(`${name}: ended with ${started.signalCode ?? started.exitCode}; starting it again in ${RESTART_AFTER / 1_000} s`);
      startAgain().catch(fail);
    };
    // It may have ended while we were told that it is there.
    if (hasEnded(started)) onExit();
    else started.once("exit", onExit);
    return true;
  };

  const startAgain = async (): Promise<void> => {
    for (let tries = 1; ; tries++) {
      const mine = wish;
      await sleep(RESTART_AFTER, undefined, { ref: false });
      if (wish !== mine) return;
      try {
        if (await start()) log(`${name}: back (pid ${child?.pid})`);
        return;
      } catch (error) {
        if (tries >= LAUNCHES_MAX) throw error;
      }
    }
  };

  const end = async (signal: NodeJS.Signals): Promise<void> => {
    wish++;
    const ending = child;
    if (!ending || !running.has(ending)) return;
    const gone = once(ending, "exit");
    ending.kill(signal);
    const timer = setTimeout(() => ending.kill("SIGKILL"), STOP_GRACE);
    await gone;
    clearTimeout(timer);
  };

  await start();
  return {
    name,
    pid: () => (isThere ? child?.pid : undefined),
    failed,
    kill: () => end("SIGKILL"),
    start: async () => void (await start()),
    stop: () => end("SIGTERM"),
  };
}

/** Starts a process; what it gives as well settles when it says that it is there, or has ended before. */
function launch({ name, command, args, env, ready, onLine, killSignal = "SIGKILL" }: ProgramOptions): [ChildProcess, Promise<void>] {
  // A group of its own: Ctrl-C in a terminal reaches us alone, and we stop everything in order.
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  running.set(child, killSignal);
  for (const over of ["exit", "error"]) child.once(over, () => running.delete(child));
  /** What it says before it is there: if it never is, that is why. */
  let words: string[] = [];
  const isThere = new Promise<void>((resolve, reject) => {
    const onAny = (line: string, output: "stdout" | "stderr"): void => {
      onLine(line, output);
      words = [...words.slice(1 - WORDS_MAX), line];
    };
    createInterface(child.stderr).on("line", (line) => onAny(line, "stderr"));
    createInterface(child.stdout).on("line", (line) => {
      onAny(line, "stdout");
      if (ready.test(line)) resolve();
    });
    child.once("error", (error) => reject(new Error(`cannot start ${name} (${command}): ${error.message}`)));
    // Behind its last words.
    child.once("close", (code, signal) => reject(new Error(`${name} ended with ${signal ?? code} before it was there: ${words.join("\n")}`)));
  });
  return [child, isThere];
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** A port of loopback that is free at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
