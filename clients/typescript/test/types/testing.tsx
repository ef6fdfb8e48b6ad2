// What the types of `watertight/testing` allow. Compiled, never run.
import type { ReactNode } from "react";
import { SSEClient, SSEError, type Clock, type Page } from "watertight";
import { SSEProvider, useSSE, type UseSSEReturn } from "watertight/react";
import {
  createClock,
  createMemoryHub,
  createMockSSE,
  createPage,
  expectNoLeaks,
  takeLedger,
  type MockSSE,
} from "watertight/testing";

const sse: MockSSE = createMockSSE({ sessionId: "s", history: 10 });

// Where the hooks are replaced, the mock is what they return.
export const replaced: { useSSE: typeof useSSE; useSSEEvent: () => UseSSEReturn } = {
  useSSE: () => sse,
  useSSEEvent: () => sse,
};

export function Tree({ children }: { children: ReactNode }) {
  useSSE(sse.options);
  return <SSEProvider {...sse.options}>{children}</SSEProvider>;
}

export async function script(): Promise<void> {
  const clock: Clock = createClock();
  const page: Page = createPage();
  const hub = createMemoryHub({ clock });
  new SSEClient({ ...sse.options, fetch: hub.fetch, clock, page }).destroy();
  await sse.open();
  await sse.emit("type", { any: "json" }, "session");
  await sse.fail();
  await sse.fail(502);
  await sse.fail(new SSEError("limit", "too large"));
  // @ts-expect-error a status or an error
  await sse.fail("403");
  await sse.closingEvent("TIMEOUT");
  await sse.reconnect();
  await sse.expectNoLeaks();
  await expectNoLeaks(takeLedger());
}
