// The sizes that the package keeps, minified and gzipped, and how much they changed: of the core, of what React and the tabs add
// to a bundle that has the core, and of one bundle with everything. Frameworks are left out. Fails above a limit. Build the
// package first. `--record` writes the sizes to `sizes.json`, which later ones are compared with.
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const home = fileURLToPath(new URL("..", import.meta.url));
const recorded = `${home}scripts/sizes.json`;
const external = /^(react|react-dom|vue|svelte)(\/|$)/;

/** The gzipped size of a bundle that exports `names` (all: `*`) of each of `entries`, as an application in production has it. */
async function measure(entries) {
  const input = "virtual:application";
  const code = Object.entries(entries).map(([name, names]) => `export ${names} from ${JSON.stringify(`${home}dist/${name}.js`)};`);
  const application = {
    name: "application",
    resolveId: (id) => (id === input ? id : undefined),
    load: (id) => (id === input ? { code: code.join("\n"), moduleSideEffects: true } : undefined),
  };
  const bundle = await rolldown({ input, external, plugins: [application], logLevel: "silent" });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  await bundle.close();
  return output.reduce((sum, { code = "" }) => sum + gzipSync(code, { level: 9 }).length, 0);
}

const core = await measure({ index: "*" });
// Of React, what an application with these four pays: `useSSEState` and `useSSEStatus` are left out of its bundle.
const react = "{ useSSE, useSSEEvent, SSEProvider, SSEErrorBoundary }";
const sizes = {
  core,
  react: (await measure({ index: "*", "react/index": react })) - core,
  tabs: (await measure({ index: "*", tabs: "*" })) - core,
  together: await measure({ index: "*", "react/index": "*", tabs: "*" }),
};
const limits = { core: 7_000, react: 3_000, tabs: 3_000, together: 12_000 };

const before = JSON.parse(await readFile(recorded, "utf8"));
for (const [name, size] of Object.entries(sizes)) {
  const change = size - before[name];
  console.log(`${name.padEnd(9)} ${size} bytes of ${limits[name]} (${change < 0 ? "" : "+"}${change})`);
}
if (process.argv.includes("--record")) await writeFile(recorded, `${JSON.stringify(sizes, undefined, 2)}\n`);

const tooLarge = Object.keys(limits).filter((name) => sizes[name] > limits[name]);
if (tooLarge.length) {
  console.error(`too large: ${tooLarge.join(", ")}`);
  process.exit(1);
}
