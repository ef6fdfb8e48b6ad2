import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const read = (path: string): string => readFileSync(fileURLToPath(new URL(path, import.meta.url)), "utf8");
/** Without indentation: a block of a document begins at the margin. */
const lines = (text: string): string => text.split("\n").map((line) => line.trim()).join("\n");

test("the code in the document is the code of this application", () => {
  const document = read("../../../docs/agents.md");
  const blocks = [...document.matchAll(/\]\(\.\.\/examples\/agents\/(\S+)\):\n\n```(?:python|tsx?)\n([^]*?)\n```/g)];
  expect(blocks.length).toBe(document.match(/^```(python|tsx?)$/gm)?.length);
  expect(blocks.length).toBeGreaterThan(5);
  for (const [, file, code] of blocks) {
    expect([file, lines(read(`../${file}`)).includes(lines(code ?? ""))]).toEqual([file, true]);
  }
});
