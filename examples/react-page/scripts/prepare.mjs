// Runs after `npm install`: builds the client package of this repository, which npm links but does not build.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const client = fileURLToPath(new URL("../../../clients/typescript", import.meta.url));

/**
 * When something below a folder changed last, milliseconds; 0 without it.
 * @param {string} folder
 * @returns {number}
 */
function newest(folder) {
  if (!existsSync(folder)) return 0;
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Math.max(0, ...files.map((file) => statSync(join(file.parentPath ?? file.path, file.name)).mtimeMs));
}

/**
 * The npm that runs this script, not another one in the path.
 * @param {...string} args
 */
function npm(...args) {
  const { npm_execpath: npmCli } = process.env;
  const [command, first] = npmCli ? [process.execPath, [npmCli]] : ["npm", []];
  const { status, error } = spawnSync(command, [...first, ...args], { cwd: client, stdio: "inherit" });
  if (status !== 0) throw error ?? new Error(`npm ${args.join(" ")} ended with ${status} in clients/typescript`);
}

if (newest(join(client, "dist")) < newest(join(client, "src"))) {
  console.log("building the client package in clients/typescript");
  if (!existsSync(join(client, "node_modules"))) npm("ci");
  npm("run", "build");
}
