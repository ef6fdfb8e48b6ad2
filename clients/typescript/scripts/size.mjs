// The sizes that the package keeps, minified and gzipped, and how much they changed. What comes from elsewhere is left out:
// frameworks, and the core where something stands beside it. Fails above a limit. Build the package first.
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const home = fileURLToPath(new URL("..", import.meta.url));
const recorded = `${home}scripts/sizes.json`;
const frameworks = /^(react|react-dom|vue|svelte)(\/|$)/;

/** What stands beside the core: everything that `index.js` has already is not counted again. */
const core = new Set();

async function measure(input, isBesideCore) {
  const external = (id, _importer, isResolved) => frameworks.test(id) || (isBesideCore && isResolved && core.has(id));
  const bundle = await rolldown({ input, external, logLevel: "silent" });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  await bundle.close();
  if (!isBesideCore && core.size === 0) for (const id of output[0].moduleIds) core.add(id);
  return output.reduce((sum, { code = "" }) => sum + gzipSync(code, { level: 9 }).length, 0);
}

const dist = (name) => `${home}dist/${name}.js`;
const sizes = { core: await measure(dist("index"), false) };
sizes.react = await measure(dist("react/index"), true);
sizes.tabs = await measure(dist("tabs"), true);
sizes.together = sizes.core + sizes.react + sizes.tabs;
const limits = { core: 7_500, react: 4_000, tabs: 3_000, together: 13_300 };

const before = JSON.parse(await readFile(recorded, "utf8").catch(() => "{}"));
for (const [name, size] of Object.entries(sizes)) {
  const change = size - (before[name] ?? size);
  console.log(`${name.padEnd(9)} ${size} bytes of ${limits[name]} (${change < 0 ? "" : "+"}${change})`);
}
if (process.argv.includes("--record")) await writeFile(recorded, `${JSON.stringify(sizes, undefined, 2)}\n`);
const tooLarge = Object.keys(limits).filter((name) => sizes[name] > limits[name]);
if (tooLarge.length) {
  console.error(`too large: ${tooLarge.join(", ")}`);
  process.exit(1);
}
