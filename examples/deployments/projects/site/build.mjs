// Builds a small site with Vite, as a real project would, and says what it does in colours.
//
//   node build.mjs OUTPUT_FOLDER
import { readFileSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const output = process.argv[2];
if (!output) throw new Error("name the folder for the output");
const root = fileURLToPath(new URL(".", import.meta.url));
const begun = performance.now();

console.log("\x1b[1msite\x1b[0m: building for production");
const { description } = JSON.parse(readFileSync(join(root, "about.json"), "utf8"));
console.log(`\x1b[2m${description}\x1b[0m`);
try {
  await build({ root, configFile: false, logLevel: "info", clearScreen: false, build: { outDir: output, emptyOutDir: true } });
} catch (error) {
  console.error(`\x1b[31merror\x1b[0m: ${error.message}`);
  process.exit(1);
}
const files = await readdir(output, { recursive: true });
for (const file of files.sort()) {
  const { size } = statSync(join(output, file));
  if (size && file.includes(".")) console.log(`  \x1b[36m${file}\x1b[0m ${size} bytes`);
}
console.log(`\x1b[32mdone\x1b[0m in ${Math.round(performance.now() - begun)} ms`);
