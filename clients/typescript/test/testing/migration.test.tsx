// @vitest-environment happy-dom
import { act, cleanup, render } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { SSEProvider } from "../../src/react/index.ts";
import { createMockSSE, expectNoLeaks, takeLedger, type MockSSE } from "../../src/testing/index.ts";
import { AdvancedSSEComponent, AgentNetworkComponent, Guarded, Monitoring } from "./migrated.tsx";

afterEach(async () => {
  cleanup();
  vi.restoreAllMocks();
  await expectNoLeaks();
});

function page(component: ReactNode): { sse: MockSSE; text: () => string | null; unmount: () => void } {
  const sse = createMockSSE();
  const { container, unmount } = render(<SSEProvider {...sse.options}>{component}</SSEProvider>);
  return { sse, text: () => container.textContent, unmount };
}

describe("a component that was written for the hooks before these", () => {
  it("shows whether it is connected, and the latest data", async () => {
    const { sse, text, unmount } = page(<AgentNetworkComponent />);
    expect(text()).toBe("Connection: DisconnectedData: null");
    await act(() => sse.emit("agent_network_update", { agents: 3 }));
    expect(text()).toBe('Connection: ConnectedData: {"agents":3}');
    await act(() => sse.drop());
    expect(text()).toBe('Connection: DisconnectedData: {"agents":3}');
    await act(() => sse.reconnect());
    expect([text(), sse.requests]).toEqual(['Connection: ConnectedData: {"agents":3}', 2]);
    expect(sse.hub.requests.map(({ sessionId }) => sessionId)).toEqual(["my-session", "my-session"]);
    unmount();
    await sse.expectNoLeaks();
  });

  it("subscribes by hand, once however often it connects, and unsubscribes on unmount", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    const sse = createMockSSE();
    // Another component keeps the connection.
    const tree = (advanced: ReactNode): ReactNode => (
      <SSEProvider {...sse.options}>
        <AgentNetworkComponent />
        {advanced}
      </SSEProvider>
    );
    const { rerender, unmount } = render(tree(null));
    await act(() => sse.open());
    const { handlers } = takeLedger();
    rerender(tree(<AdvancedSSEComponent />));
    const more = takeLedger().handlers;
    for (let turn = 0; turn < 3; turn++) {
      await act(() => sse.drop());
      await act(() => sse.reconnect());
    }
    expect(more).toBeGreaterThanOrEqual(handlers + 2);
    expect(takeLedger().handlers).toBe(more);
    await act(() => sse.emit("event1", 1));
    await act(() => sse.emit("event2", 2));
    rerender(tree(null));
    expect([takeLedger().handlers, sse.connections]).toEqual([handlers, 1]);
    await act(() => sse.emit("event1", 3));
    expect(log.mock.calls.map(([text, { data }]) => [text, data])).toEqual([
      ["Event 1:", 1],
      ["Event 2:", 2],
    ]);
    unmount();
    await sse.expectNoLeaks();
  });

  it("is told why its connection failed", async () => {
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    const { sse } = page(<Monitoring sessionId="s" />);
    await act(() => sse.fail(403));
    const told = error.mock.calls.filter(([text]) => text === "SSE Connection Error:");
    expect(told.at(-1)?.[1]).toMatchObject({ status: 403 });
  });

  it("shows its own words behind the boundary when the connection is over for good", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { sse, text } = page(<Guarded />);
    await act(() => sse.fail(403));
    expect(text()).toBe("Error: SSE connection failed. Please refresh the page.");
  });

  it("is tested with a module in the place of the hooks: registered when mounted, taken back when unmounted", async () => {
    const unsubscribe = vi.fn();
    const mockSSE = {
      isConnected: true,
      addEventListener: vi.fn((_type: string, _handler: unknown) => unsubscribe),
      connect: vi.fn(),
      disconnect: vi.fn(),
    };
    vi.resetModules();
    vi.doMock("../../src/react/index.ts", () => ({
      SSEErrorBoundary: () => null,
      useSSE: () => mockSSE,
      useSSEEvent: () => mockSSE,
    }));
    const mocked = await import("./migrated.tsx");
    vi.doUnmock("../../src/react/index.ts");
    const { container, unmount } = render(
      <>
        <mocked.AdvancedSSEComponent />
        <mocked.AgentNetworkComponent />
      </>,
    );
    expect(container.textContent).toContain("Connection: Connected");
    expect(mockSSE.addEventListener.mock.calls.map(([type]) => type)).toEqual(["event1", "event2"]);
    expect(unsubscribe).not.toHaveBeenCalled();
    unmount();
    expect(unsubscribe).toHaveBeenCalledTimes(2);
  });
});
