// Builds the package into `dist`: one module per source file, with its types, as `tsc` writes them. A build that breaks off
// leaves no `dist`: it would pass for a newer one than its sources.
import { execFileSync } from "node:child_process";
import { renameSync, rmSync } from "node:fs";

const [dist, made] = ["../dist", "../dist.new"].map((folder) => new URL(folder, import.meta.url));
for (const folder of [dist, made]) rmSync(folder, { recursive: true, force: true });
execFileSync("npx", ["--no-install", "tsc", "-p", "tsconfig.build.json", "--outDir", "dist.new"], {
  cwd: new URL("..", import.meta.url),
  stdio: "inherit",
});
renameSync(made, dist);
