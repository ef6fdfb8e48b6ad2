import { execFile } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
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

const home = fileURLToPath(new URL("../..", import.meta.url));
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

/** Builds the package unless `dist` is newer than all that it is made of. */
async function buildPackage(): Promise<void> {
  const made = await stat(`${home}/dist/index.js`).then(({ mtimeMs }) => mtimeMs, () => 0);
  const sources = await readdir(`${home}/src`, { recursive: true, withFileTypes: true });
  const times = await Promise.all(sources.map(async (file) => (await stat(`${file.parentPath}/${file.name}`)).mtimeMs));
  if (Math.max(...times) > made) await promisify(execFile)(process.execPath, [`${home}/scripts/build.mjs`]);
}

/** Vitest's entry: runs once, before all projects. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let binary: Promise<string> | undefined;
  // Built when the first test asks for a hub.
  const find = async (): Promise<string> =>
    process.env["WATERTIGHT_BIN"] ?? (await cargoBuild("--package", "watertight-cli", "--bin", "watertight"));
  let built: Promise<void> | undefined;
  const control = await startControl(() => (binary ??= find()), () => (built ??= buildPackage()));
  project.provide("control", control.url);
  return () => control.stop();
}
