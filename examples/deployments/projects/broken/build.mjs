// Does not build: it imports what is not there. What Vite says about it is the end of the log.
//
//   node build.mjs OUTPUT_FOLDER
import { fileURLToPath } from "node:url";
import { build } from "vite";

console.log("\x1b[1mbroken\x1b[0m: building for production");
try {
  const root = fileURLToPath(new URL(".", import.meta.url));
  await build({ root, configFile: false, logLevel: "warn", clearScreen: false, build: { outDir: process.argv[2], emptyOutDir: true } });
} catch (error) {
  console.error(`\x1b[31merror\x1b[0m: ${error.message}`);
  process.exit(3);
}
