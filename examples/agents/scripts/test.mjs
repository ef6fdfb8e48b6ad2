// `npm test`: makes what is missing, then checks and tests the service and the page. Needs Chromium, too.
import { join } from "node:path";
import { here } from "./files.mjs";
import { prepareHub, prepareNode, preparePage, preparePython, run } from "./prepare.mjs";

const node = (/** @type {string} */ what, /** @type {string} */ script, /** @type {string[]} */ ...args) =>
  run(what, process.execPath, [join(here, "node_modules", script), ...args]);
const service = join(here, "service");

prepareNode();
preparePage();
const python = preparePython({ dev: true });
process.env["AGENTS_PYTHON"] = python;
process.env["WATERTIGHT_BIN"] = await prepareHub({ release: false });

run("ruff", python, ["-m", "ruff", "check", "."], service);
run("ruff format", python, ["-m", "ruff", "format", "--check", "--diff", "."], service);
run("mypy", python, ["-m", "mypy"], service);
run("pyright", process.execPath, [join(here, "node_modules/pyright/index.js"), "--pythonpath", python], service);
run("pytest", python, ["-m", "pytest", "-q"], service);
node("tsc", "typescript/bin/tsc", "--noEmit");
node("vitest", "vitest/vitest.mjs", "run", ...process.argv.slice(2));
