// Writes the API reference into `docs/api`, or with `--check` only looks whether every public name has its words. TypeDoc
// needs another TypeScript than the package's own, so it has a folder of its own.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../docs", import.meta.url));

function run(program, ...args) {
  const { status } = spawnSync(program, args, { cwd: folder, stdio: "inherit" });
  if (status !== 0) process.exit(1);
}


if (!existsSync(`${folder}/node_modules/typedoc`)) run("npm", "ci");
const isCheck = process.argv.includes("--check");
run("npx", "--no-install", "typedoc", "--options", "typedoc.json", ...(isCheck ? ["--emit", "none"] : []));
