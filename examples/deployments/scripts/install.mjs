// Before `npm start` and `npm test`: installs the packages that the lock file names, if they are not there or older than it, and
// builds the client package if it is older than its sources.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("..", import.meta.url));
/** @param {string} name */
const changedAt = (name) => (existsSync(here + name) ? statSync(here + name).mtimeMs : 0);

if (changedAt("node_modules/.package-lock.json") < changedAt("package-lock.json")) {
  console.log("installing packages of npm …");
  // The npm that runs this script, not another one in the path.
  const { npm_execpath: npmCli } = process.env;
  const [command, first] = npmCli ? [process.execPath, [npmCli]] : ["npm", []];
  const { status, error } = spawnSync(command, [...first, "ci", "--no-audit", "--no-fund"], { cwd: here, stdio: "inherit" });
  if (status !== 0) throw error ?? new Error(`npm ci ended with ${status}`);
}

// Also where nothing was installed: the client may have changed since, or an earlier run may have ended between the two.
const { status, error } = spawnSync(process.execPath, [here + "../react-page/scripts/prepare.mjs"], { stdio: "inherit" });
if (status !== 0) throw error ?? new Error(`the client package could not be built (${status})`);
