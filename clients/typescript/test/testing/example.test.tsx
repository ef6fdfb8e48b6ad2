// @vitest-environment happy-dom
import { act, cleanup, render, screen } from "@testing-library/react";
import { useState, type ReactNode } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { SSEErrorBoundary, SSEProvider, useSSEEvent } from "../../src/react/index.ts";
import { createMockSSE, expectNoLeaks } from "../../src/testing/index.ts";

// What the tests of an application look like.

interface Price {
  eur: number;
}

function Price(): ReactNode {
  const [price, setPrice] = useState<Price>();
  const { connectionState } = useSSEEvent<Price>("price", setPrice, { sessionId: "prices" });
  return (
    <p>
      {connectionState}: {price ? `${price.eur} €` : "unknown"}
    </p>
  );
}

afterEach(async () => {
  cleanup();
  vi.restoreAllMocks();
  await expectNoLeaks();
});

describe("a component", () => {
  it("shows the latest price", async () => {
    const sse = createMockSSE();
    render(<SSEProvider {...sse.options}><Price /></SSEProvider>);
    await act(() => sse.emit("price", { eur: 42 }));
    expect(screen.getByText("open: 42 €")).toBeTruthy();
    cleanup();
    await sse.expectNoLeaks();
  });

  it("shows that it reconnects, and misses nothing meanwhile", async () => {
    const sse = createMockSSE();
    render(<SSEProvider {...sse.options}><Price /></SSEProvider>);
    await act(() => sse.open());
    await act(() => sse.drop());
    expect(screen.getByText("reconnecting: unknown")).toBeTruthy();
    sse.hub.publish("prices", "price", { eur: 43 });
    await act(() => sse.reconnect());
    expect(screen.getByText("open: 43 €")).toBeTruthy();
  });

  it("shows the boundary's fallback when access is refused, and recovers from it", async () => {
    // React tells the console of every error that a boundary catches.
    vi.spyOn(console, "error").mockImplementation(() => {});
    const sse = createMockSSE();
    render(
      <SSEProvider {...sse.options}>
        <SSEErrorBoundary fallback={({ error, reset }) => <button onClick={reset}>{`${error.status}, again?`}</button>}>
          <Price />
        </SSEErrorBoundary>
      </SSEProvider>,
    );
    await act(() => sse.fail(403));
    act(() => screen.getByText("403, again?").click());
    await act(() => sse.emit("price", { eur: 44 }));
    expect(screen.getByText("open: 44 €")).toBeTruthy();
  });
});
