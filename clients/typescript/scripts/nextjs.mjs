// Builds the recipe for Next.js with the package as it would be published, and looks at what comes out: the page is rendered
// on the server, idle, and no development tool is in what browsers load. Build the package first.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = `${root}test/nextjs`;

function run(program, ...args) {
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", NODE_ENV: "production" };
  const { status } = spawnSync(program, args, { cwd: folder, stdio: "inherit", env });
  if (status !== 0) process.exit(1);
}

if (!existsSync(`${folder}/node_modules/next`)) run("npm", "ci", "--include=dev");
const target = `${folder}/node_modules/watertight`;
rmSync(target, { recursive: true, force: true });
mkdirSync(target);
for (const part of ["package.json", "dist"]) cpSync(`${root}${part}`, `${target}/${part}`, { recursive: true });
rmSync(`${folder}/.next`, { recursive: true, force: true });
run("npx", "--no-install", "next", "build");

const files = (path) =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => readFileSync(`${parentPath}/${name}`, "utf8"));
const failures = [];
const page = readFileSync(`${folder}/.next/server/app/index.html`, "utf8");
if (!page.includes("<p>3 orders, idle</p>")) failures.push("the page is not rendered on the server");
const chunks = files(`${folder}/.next/static`);
if (!chunks.some((chunk) => chunk.includes("last-event-id"))) failures.push("the client is in no bundle");
if (chunks.some((chunk) => chunk.includes("watertight-devtools"))) failures.push("the panel is in a production bundle");
for (const failure of failures) console.error(failure);
process.exit(failures.length ? 1 : 0);
