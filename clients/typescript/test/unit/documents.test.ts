// Every snippet of TypeScript in the documents is compiled against the client as it is.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const here = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url));

/** What a snippet takes for granted: by its document and how it begins. A snippet that is not listed has to stand alone. */
const GIVEN: Record<string, Record<string, string>> = {
  "../../README.md": {
    'import { useSSEEvent }': 'import { useState } from "react";',
  },
  "../../docs/guide.md": {
    'import { SSEClient }': "declare function fetchToken(): Promise<string>; declare function show(what: unknown): void;",
    "const sse = useSSEEvent": 'import { useSSEEvent } from "watertight/react"; declare function setTick(data: unknown): void;',
    "let { sum, lastEventId }":
      'import { SSEClient } from "watertight"; declare const baseUrl: string; declare function show(what: unknown): void;' +
      "declare const application: { snapshot(): Promise<{ sum: number; lastEventId: string }> };",
  },
  "README.md": {
    "import { SSEClient }":
      "declare const auth: { token(how: { refresh: boolean }): Promise<string> }; declare function show(...what: unknown[]): void; declare function reload(why: string): void;",
    "for await (const event of client.events": 'import { SSEClient } from "watertight"; declare const client: SSEClient;',
    "import { stream }": "declare const question: unknown; declare function show(what: unknown): void;",
    "import { publish }": "declare const auth: { currentToken(): Promise<string> };",
    "import { Origin, publish }":
      'import { SSEClient } from "watertight"; type Price = { eur: number }; declare const data: Price; declare function show(what: Price): void;',
    "import { SSEErrorBoundary":
      'import { useState } from "react"; declare const auth: { currentToken(): Promise<string> };',
    "import { useSSE, useSSEEvent, useSSEState }": "type Price = { eur: number }; declare const props: { session: string };",
    "import { sseState": "type Price = { eur: number };",
    "import { createDevtools }": 'import { SSEClient } from "watertight";',
    "import { createMockSSE }":
      'import { act, render } from "@testing-library/react"; import { SSEProvider } from "watertight/react"; declare function Prices(): null;',
    "new SSEClient": 'import { SSEClient } from "watertight"; import { shareTabs } from "watertight/tabs"; declare const user: { id: string };',
  },
};

/** Those that are a part of something else: of a configuration that Vite reads. */
const PARTS: Record<string, string> = {
  "configure: (proxies) => {":
    'import type { ProxyOptions } from "vite"; export const options: ProxyOptions = {',
};

type Snippet = { document: string; kind: string; code: string; begins: string };

function snippets(document: string): Snippet[] {
  const text = readFileSync(here(document), "utf8");
  return [...text.matchAll(/^```(tsx?)\n(.*?)^```$/gms)].map(([, kind, code]) => ({
    document,
    kind: kind ?? "",
    code: code ?? "",
    begins: (code ?? "").split("\n")[0] ?? "",
  }));
}

/** The snippet as a module. */
function source({ document, code, begins }: Snippet): string {
  const part = Object.entries(PARTS).find(([beginning]) => begins.startsWith(beginning));
  if (part) return `${part[1]}\n${code}};\n`;
  const given = Object.entries(GIVEN[document] ?? {}).filter(([beginning]) => begins.startsWith(beginning));
  // Of several the longest: the others are beginnings of it.
  const longest = given.sort(([a], [b]) => b.length - a.length)[0]?.[1] ?? "";
  return `${longest}\n${code.replace("{ … }", "{}")}\nexport {};\n`;
}

test("every snippet of TypeScript in the documents compiles", () => {
  const all = Object.keys(GIVEN).flatMap(snippets);
  expect(all.length).toBeGreaterThan(15);
  const unused = Object.entries(GIVEN).flatMap(([document, given]) =>
    Object.keys(given).filter((beginning) => !all.some((it) => it.document === document && it.begins.startsWith(beginning))),
  );
  expect(unused).toEqual([]);
  // Where the packages that they name are found.
  const folder = mkdtempSync(here("node_modules/.snippets-"));
  try {
    const files = all.map((snippet, n) => {
      const file = `${String(n).padStart(2, "0")}-${snippet.document.replace(/[^a-zA-Z]+/g, "-")}.${snippet.kind}`;
      writeFileSync(join(folder, file), source(snippet));
      return file;
    });
    const { exports } = JSON.parse(readFileSync(here("jsr.json"), "utf8")) as { exports: Record<string, string> };
    const own = Object.entries(exports).map(([entry, file]) => [entry.replace(/^\./, "watertight"), [here(file)]]);
    const options = {
      ...{ noEmit: true, strict: true, skipLibCheck: true, allowImportingTsExtensions: true, types: ["node"] },
      ...{ target: "es2022", module: "preserve", moduleResolution: "bundler", jsx: "react-jsx" },
      ...{ lib: ["ES2022", "DOM", "DOM.Iterable", "ESNext.Disposable", "DOM.AsyncIterable"] },
      paths: Object.fromEntries(own),
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files }));
    try {
      execFileSync(here("node_modules/.bin/tsc"), ["--project", folder], { encoding: "utf8" });
    } catch (error) {
      expect.fail((error as { stdout?: string }).stdout ?? String(error));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 120_000);
