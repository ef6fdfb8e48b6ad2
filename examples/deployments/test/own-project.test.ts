import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
/** What is taken from elsewhere in this repository. */
const ELSEWHERE = /(?:\.\.\/)+(?:react-page|clients\/typescript)(?:\/[\w./-]+)?/g;

/** Files of the example that name something outside of it, and what they name. */
function references(): [file: string, path: string][] {
  const folders = ["api", "worker", "scripts", "src", "test"];
  const files = folders.flatMap((folder) => readdirSync(root + folder, { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name}`));
  const all = [...files, ...readdirSync(root)].filter((name) => /\.(tsx?|mjs|json|html|css)$/.test(name) && name !== "package-lock.json");
  return all.flatMap((file) => (readFileSync(root + file, "utf8").match(ELSEWHERE) ?? []).map((path): [string, string] => [file, path]));
}

test("what the README says of a project of its own names each file that takes something from elsewhere, and each thing that it takes", () => {
  const [, said = ""] = /### In a project of its own\n([^]*?)\n## /.exec(readFileSync(`${root}README.md`, "utf8")) ?? [];
  const named = [...said.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text);
  const found = references();
  expect(found.length).toBeGreaterThan(5);
  expect([...new Set(found.map(([file]) => file))].filter((file) => !named.includes(file))).toEqual([]);
  const copied = found.flatMap(([, path]) => /react-page\/(src\/.+)/.exec(path)?.[1] ?? []);
  expect(copied.filter((path) => !named.some((name) => name.startsWith("src/") && path.startsWith(name)))).toEqual([]);
});
