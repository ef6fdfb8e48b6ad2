import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

/** `watertight run` around a shell that does what a test tells it, line by line. */
export interface Run {
  /** Has the shell do this. It has done so when what it prints is seen. */
  say(command: string): void;
  /** Ends the shell with this code; resolves to the exit code of `watertight run`. */
  exit(code: number): Promise<number | null>;
  /** Gives up, with the shell. */
  kill(): void;
}

export function startRun(binary: string, hub: string, deployment: string): Run {
  // Settings of the caller's own are none of a test's run.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("WATERTIGHT_")));
  const child: ChildProcess = spawn(binary, ["run", "--quiet", "--no-echo", "--hub", hub, "--deployment", deployment, "--", "sh"], {
    stdio: ["pipe", "inherit", "inherit"],
    env,
  });
  const exited = once(child, "exit");
  const say = (command: string): void => void child.stdin?.write(`${command}\n`);
  return {
    say,
    async exit(code) {
      say(`exit ${code}`);
      const [told] = (await exited) as [number | null];
      return told;
    },
    kill: () => {
      child.stdin?.end();
      child.kill("SIGKILL");
    },
  };
}
