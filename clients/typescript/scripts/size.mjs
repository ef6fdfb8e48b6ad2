// The sizes that the package keeps, minified and gzipped, and how much they changed. What comes from elsewhere is left out:
// frameworks, and the core where something stands beside it. Fails above a limit. Build the package first.
//
// A limit is the goal, or the present size where the goal is not reached yet: then it may only shrink.
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const home = fileURLToPath(new URL("..", import.meta.url));
const recorded = `${home}scripts/sizes.json`;
const frameworks = /^(react|react-dom|vue|svelte)(\/|$)/;
const dist = (name) => `${home}dist/${name}.js`;

/** What stands beside the core: everything that `index.js` has already is not counted again. */
const core = new Set();

/** The gzipped size of a module that exports `names` (all: `*`) of each of `entries`, as a production bundle has it. */
async function measure(entries, isBesideCore) {
  const input = "virtual:application";
  const code = Object.entries(entries).map(([name, names]) => `export ${names} from ${JSON.stringify(dist(name))};`);
  const application = {
    name: "application",
    resolveId: (id) => (id === input ? id : undefined),
    load: (id) => (id === input ? { code: code.join("\n"), moduleSideEffects: true } : undefined),
  };
  const external = (id, _importer, isResolved) => frameworks.test(id) || (isBesideCore && isResolved && core.has(id));
  const bundle = await rolldown({ input, external, plugins: [application], logLevel: "silent" });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  await bundle.close();
  if (!isBesideCore && core.size === 0) for (const id of output[0].moduleIds) core.add(id);
  return output.reduce((sum, { code = "" }) => sum + gzipSync(code, { level: 9 }).length, 0);
}

// Of React, what an application with these four pays: `useSSEState` and `useSSEStatus` are left out of its bundle.
const react = "{ useSSE, useSSEEvent, SSEProvider, SSEErrorBoundary }";
const sizes = { core: await measure({ index: "*" }, false) };
sizes.react = await measure({ "react/index": react }, true);
sizes.tabs = await measure({ tabs: "*" }, true);
sizes.together = sizes.core + sizes.react + sizes.tabs;
const goals = { core: 7_000, react: 3_000, tabs: 3_000, together: 12_000 };

const before = JSON.parse(await readFile(recorded, "utf8").catch(() => "{}"));
const limits = {};
for (const [name, size] of Object.entries(sizes)) {
  const last = before[name] ?? goals[name];
  const goal = goals[name];
  limits[name] = Math.max(goal, last);
  const missing = size > goal ? `, ${size - goal} over the goal of ${goal}; not to grow beyond ${limits[name]}` : ` of ${goal}`;
  console.log(`${name.padEnd(9)} ${size} bytes${missing} (${size < last ? "" : "+"}${size - last})`);
}
const everything = await measure({ index: "*", "react/index": "*", tabs: "*" }, false);
console.log(`in one bundle, with all hooks: ${everything} bytes`);

const tooLarge = Object.keys(limits).filter((name) => sizes[name] > limits[name]);
if (tooLarge.length) {
  console.error(`too large: ${tooLarge.join(", ")}`);
  process.exit(1);
}
if (process.argv.includes("--record")) await writeFile(recorded, `${JSON.stringify(sizes, undefined, 2)}\n`);
