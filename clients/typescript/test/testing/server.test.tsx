import { execFileSync } from "node:child_process";
import { StrictMode, type ReactNode } from "react";
import { renderToString } from "react-dom/server";
import { expect, it } from "vitest";
import { registry } from "../../src/react/connection.ts";
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

it("importing it touches no global", () => {
  // In a process whose globals throw when they are so much as read.
  const script = `
    for (const name of ["window", "document", "navigator", "location", "EventSource", "fetch", "addEventListener"]) {
      Object.defineProperty(globalThis, name, { get() { throw new Error(name + " was read"); }, configurable: true });
    }
    const before = Object.getOwnPropertyNames(globalThis).length;
    for (const entry of ["index.js", "react/index.js", "testing/index.js"]) await import(process.argv[1] + entry);
    if (Object.getOwnPropertyNames(globalThis).length !== before) throw new Error("a global was made");
  `;
  const dist = new URL("../../dist/", import.meta.url).href;
  execFileSync(process.execPath, ["--input-type=module", "-e", script, dist]);
});
