import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { startControl } from "./control.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the control server is. */
    control: string;
  }
}

const root = fileURLToPath(new URL("../../../..", import.meta.url));

/** Builds something of the workspace, and resolves to where cargo says it put it. */
export async function cargoBuild(...what: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("cargo", ["build", "--quiet", "--message-format=json", ...what], {
    cwd: root,
    maxBuffer: 256 * 1024 * 1024,
  });
  const messages = stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line) as { executable?: string | null });
  const executable = messages.filter((message) => message.executable).at(-1)?.executable;
  if (!executable) throw new Error(`cargo built no program for ${what.join(" ")}`);
  return executable;
}

/** Vitest's entry: runs once, before all projects. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let binary: Promise<string> | undefined;
  // Built when the first test asks for a hub.
  const find = async (): Promise<string> =>
    process.env["WATERTIGHT_BIN"] ?? (await cargoBuild("--package", "watertight-cli", "--bin", "watertight"));
  const control = await startControl(() => (binary ??= find()));
  project.provide("control", control.url);
  return () => control.stop();
}
