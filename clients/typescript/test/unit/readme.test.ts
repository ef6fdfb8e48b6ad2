import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { MemoryHub } from "../../src/testing/hub.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

test("the README names every method and count of the hub in memory", () => {
  const names = Object.getOwnPropertyNames(MemoryHub.prototype).filter((name) => name !== "constructor");
  expect(names).toContain("sourceGap");
  expect(names.filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
});

test("the README and the registries know of every entry of the package", () => {
  const read = (file: string): { exports: object } => JSON.parse(readFileSync(new URL(`../../${file}`, import.meta.url), "utf8")) as { exports: object };
  const entries = Object.keys(read("package.json").exports).filter((name) => name !== "./package.json");
  expect(Object.keys(read("jsr.json").exports).sort()).toEqual([...entries].sort());
  expect(entries.map((name) => name.replace(/^\./, "watertight")).filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
});
