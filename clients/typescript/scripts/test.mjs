// Everything that must pass, in the order in which it tells most: types, tests, sizes, packaging. Stops at the first that fails.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Runs a program of the package's own dependencies. */
function step(name, command, ...args) {
  console.log(`watertight: ${name}`);
  const { status, error, signal } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (status === 0) return;
  console.error(`watertight: ${name} failed (${error?.message ?? signal ?? `exit ${status}`})`);
  process.exit(1);
}
const tool = (name, program, ...args) => step(name, "npx", "--no-install", program, ...args);

// React 18.3 beside React 19, in a folder of its own: the hooks' tests run against both.
if (!existsSync(`${root}/test/react18/node_modules/react`)) step("React 18.3", "npm", "ci", "--prefix", "test/react18");
if (!existsSync(`${root}/test/typescript54/node_modules/typescript`)) step("TypeScript 5.4", "npm", "ci", "--prefix", "test/typescript54");
step("build", process.execPath, "scripts/build.mjs");
tool("types", "tsc", "--noEmit");
for (const lib of ["dom", "nodom"]) {
  const typescript = "test/typescript54/node_modules/typescript/bin/tsc";
  step(`types for TypeScript 5.4, ${lib}`, process.execPath, typescript, "-p", `test/typescript54/tsconfig.${lib}.json`);
}
step("every public name has its words", process.execPath, "scripts/docs.mjs", "--check");
tool("tests", "vitest", "run", ...process.argv.slice(2));
step("sizes", process.execPath, "scripts/size.mjs");
step("the recipe for Next.js", process.execPath, "scripts/nextjs.mjs");
tool("package", "publint", "--strict");
tool("types of the package", "attw", "--pack", ".", "--profile", "esm-only", "--format", "table-flipped");
console.log("watertight: everything passes");
