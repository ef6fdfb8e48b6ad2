import { execFileSync } from "node:child_process";
import { build } from "esbuild";
import { StrictMode, type ReactNode } from "react";
import { renderToString } from "react-dom/server";
import { expect, it } from "vitest";
import { registry } from "../../src/store/connection.ts";
import { SSEErrorBoundary, SSEProvider, useSSE, useSSEEvent } from "../../src/react/index.ts";
import { createMockSSE } from "../../src/testing/index.ts";

it("renders on a server: idle, without a request, without a page, and nothing stays behind", async () => {
  expect(typeof window).toBe("undefined");
  const sse = createMockSSE();
  function Status(): ReactNode {
    const { connectionState, isConnected } = useSSEEvent("n", () => {});
    return `${connectionState} ${isConnected} ${useSSE().connectionState}`;
  }
  const markup = renderToString(
    <StrictMode>
      <SSEProvider {...sse.options}>
        <SSEErrorBoundary>
          <Status />
        </SSEErrorBoundary>
      </SSEProvider>
    </StrictMode>,
  );
  expect(markup).toBe("idle false idle");
  expect([sse.requests, registry.size]).toEqual([0, 0]);
  await sse.expectNoLeaks();
});

it("importing it touches no global", async () => {
  // In a process whose globals throw when they are so much as read.
  const hostile = `
    for (const name of ["window", "document", "navigator", "location", "EventSource", "fetch", "addEventListener"]) {
      Object.defineProperty(globalThis, name, { get() { throw new Error(name + " was read"); } });
    }
    const before = Object.getOwnPropertyNames(globalThis).length;
  `;
  const entries = ["index.ts", "react/index.ts", "testing/index.ts"];
  const { outputFiles } = await build({
    stdin: { contents: entries.map((entry) => `export * from "./src/${entry}";`).join("\n"), resolveDir: process.cwd() },
    bundle: true,
    write: false,
    format: "esm",
    external: ["react"],
    banner: { js: hostile },
    footer: { js: `if (Object.getOwnPropertyNames(globalThis).length !== before) throw new Error("a global was made");` },
  });
  execFileSync(process.execPath, ["--input-type=module"], { input: outputFiles[0]?.text });
});
