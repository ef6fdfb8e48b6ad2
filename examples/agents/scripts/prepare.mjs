// Makes what is missing or older than its sources: packages, the page, a virtual environment; in the repository also the clients and the
// hub, which elsewhere are installed. Needs Node.js with npm, and Python 3.10 or newer; in the repository cargo, too.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { here, isOlder, repository } from "./files.mjs";

const client = repository && join(repository, "clients/typescript");
const pythonClient = repository && join(repository, "clients/python");

/**
 * @param {string} what is being done
 * @param {string} command
 * @param {readonly string[]} args
 * @param {string} [cwd]
 */
export function run(what, command, args, cwd = here) {
  console.log(`${what} …`);
  const { status, error } = spawnSync(command, args, { cwd, stdio: "inherit" });
  if (status !== 0) throw error ?? new Error(`${what} failed: ${command} ${args.join(" ")} ended with ${status}`);
}

/**
 * The npm that runs this script, if one does, not another one in the path.
 * @param {string} what
 * @param {string} cwd
 * @param {...string} args
 */
function npm(what, cwd, ...args) {
  const { npm_execpath: npmCli } = process.env;
  const [command, first] = npmCli ? [process.execPath, [npmCli]] : ["npm", []];
  run(what, command, [...first, ...args], cwd);
}

/** Packages of npm, and the client package of the repository, which npm links but does not build. */
export function prepareNode() {
  if (client && isOlder(join(client, "dist"), join(client, "src"))) {
    if (!existsSync(join(client, "node_modules"))) npm("installing what the TypeScript client is built with", client, "ci");
    npm("building the TypeScript client", client, "run", "build");
  }
  if (isOlder(join(here, "node_modules/.package-lock.json"), join(here, "package-lock.json"))) {
    npm("installing packages of npm", here, "ci");
  }
}

/** @returns {string} the folder of the built page */
export function preparePage() {
  const dist = join(here, "dist");
  const sources = ["src", "index.html", "vite.config.ts", "package-lock.json"].map((name) => join(here, name));
  if (client) sources.push(join(client, "dist"));
  if (isOlder(join(dist, "index.html"), ...sources)) {
    run("building the page", process.execPath, [join(here, "node_modules/vite/bin/vite.js"), "build", "--logLevel", "warn"]);
  }
  return dist;
}

/**
 * A virtual environment with the service and what it needs. `AGENTS_PYTHON` names an interpreter that has all of it already,
 * `PYTHON_CLIENT` a wheel of the Python client, instead of building one.
 * @param {{ dev?: boolean }} [options] `dev`: also what checks and tests it
 * @returns {string} the interpreter
 */
export function preparePython({ dev = false } = {}) {
  const { AGENTS_PYTHON, PYTHON = "python3", PYTHON_CLIENT } = process.env;
  if (AGENTS_PYTHON) return AGENTS_PYTHON;
  const venv = join(here, ".venv");
  const python = join(venv, "bin/python");
  const pip = (/** @type {string} */ what, /** @type {string} */ stamp, /** @type {string[]} */ ...packages) => {
    run(what, python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...packages]);
    writeFileSync(stamp, "");
  };
  const check = "import sys; sys.exit(sys.version_info < (3, 10))";
  if (spawnSync(PYTHON, ["-c", check]).status !== 0) {
    throw new Error(`${PYTHON} is not Python 3.10 or newer; PYTHON says which one to use`);
  }
  const [ours, stamp, stampOfTools] = [join(here, "service/pyproject.toml"), join(venv, "installed"), join(venv, "installed-tools")];
  const sources = pythonClient ? ["pyproject.toml", "src", "native", "Cargo.toml"].map((name) => join(pythonClient, name)) : [];
  if (isOlder(stamp, ours, ...sources)) {
    run("making a virtual environment", PYTHON, ["-m", "venv", "--clear", venv]);
    const sse = PYTHON_CLIENT ? resolve(PYTHON_CLIENT) : pythonClient;
    const what = `installing the Python client and the service${sse === pythonClient && sse ? " (some minutes: it builds the hub's module)" : ""}`;
    pip(what, stamp, ...(sse ? [`watertight-sse[fastapi] @ ${pathToFileURL(sse).href}`] : []), "--editable", "./service");
  }
  if (dev && isOlder(stampOfTools, stamp)) {
    pip("installing what checks and tests the service", stampOfTools, "--editable", "./service[dev]");
  }
  return python;
}

/**
 * The hub that `WATERTIGHT_BIN` names, or one that cargo builds; outside of the repository the one in the path.
 * @param {{ release: boolean }} options
 * @returns {Promise<string>} where the binary is
 */
export async function prepareHub({ release }) {
  const { WATERTIGHT_BIN } = process.env;
  if (WATERTIGHT_BIN) return WATERTIGHT_BIN;
  if (!repository) {
    if (spawnSync("watertight", ["--version"]).status === 0) return "watertight";
    throw new Error("there is no hub: neither is `watertight` in the path, nor does WATERTIGHT_BIN name one");
  }
  console.log("building the hub (some minutes the first time) …");
  const manifest = join(repository, "Cargo.toml");
  const args = ["build", "--bin", "watertight", "--manifest-path", manifest, "--message-format=json-render-diagnostics"];
  const cargo = spawn("cargo", release ? [...args, "--release"] : args, { stdio: ["ignore", "pipe", "inherit"] });
  // Before the first wait: cargo may be missing, and that is told only once.
  const ended = once(cargo, "close");
  let binary = "";
  createInterface(cargo.stdout).on("line", (line) => {
    /** @type {{ executable?: string | null }} */
    const message = line.startsWith("{") ? JSON.parse(line) : {};
    binary = message.executable ?? binary;
  });
  const [code] = await ended;
  if (code !== 0 || !binary) throw new Error(`cargo build ended with ${code}; WATERTIGHT_BIN names a hub that is there already`);
  return binary;
}
