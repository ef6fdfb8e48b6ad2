import { Component, type ReactNode } from "react";
import { flushSync } from "react-dom";
import { describe, expect, it, vi } from "vitest";
import { SSEError } from "../../src/index.ts";
import { SSEErrorBoundary, SSEProvider } from "../../src/react/index.ts";
import { settle } from "../../src/testing/index.ts";
import { data, mock, mount, mountStrict, seen, silenceConsole, Status, Watch } from "./kit.tsx";

class Outer extends Component<{ children: ReactNode }, { error: unknown }> {
  override state = { error: null };
  static getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }
  override render(): ReactNode {
    return this.state.error ? `outer: ${String(this.state.error)}` : this.props.children;
  }
}

async function click(container: HTMLElement): Promise<void> {
  flushSync(() => container.querySelector("button")?.click());
  await settle(6);
}

describe("SSEErrorBoundary", () => {
  it("shows an accessible fallback for what is over for good, closes what failed, and tries again when asked", async () => {
    silenceConsole();
    const sse = mock();
    const into = seen();
    const { container } = await mountStrict(
      <SSEErrorBoundary>
        <Watch {...sse.options} into={into} />
      </SSEErrorBoundary>,
    );
    await sse.fail(403);
    expect(container.querySelector("[role=alert]")?.textContent).toMatch(/^Connection lost: refused with 403.*Try again$/);
    expect([sse.connections, sse.clock.pending, sse.page.listeners]).toEqual([0, 0, 0]);
    await click(container);
    await sse.emit("n", 1);
    expect([container.textContent, data(into), sse.connections]).toEqual(["open", [1], 1]);
  });

  it("tells onError, onReset and the fallback, with reset", async () => {
    silenceConsole();
    const sse = mock();
    const told: unknown[] = [];
    const { container } = await mount(
      <SSEErrorBoundary
        onError={(error, info) => told.push(error.kind, typeof info.componentStack)}
        onReset={() => told.push("reset")}
        fallback={({ error, reset }) => <button onClick={reset}>{error.status}</button>}
      >
        <Status {...sse.options} />
      </SSEErrorBoundary>,
    );
    await sse.fail(404);
    expect([container.textContent, told]).toEqual(["404", ["http", "string"]]);
    sse.hub.refuse(1, 403);
    await click(container);
    expect([container.textContent, told.slice(2)]).toEqual(["403", ["reset", "auth", "string"]]);
    await click(container);
    expect(container.textContent).toBe("open/true/-");
  });

  it("takes a node as fallback, and hooks in a fallback do not throw into it", async () => {
    silenceConsole();
    const sse = mock();
    const { container } = await mount(
      <SSEErrorBoundary fallback={<Status {...sse.options} sessionId="other" />}>
        <Status {...sse.options} />
      </SSEErrorBoundary>,
    );
    await sse.fail(403);
    await sse.fail(403);
    expect(container.textContent).toBe("error/false/auth");
  });

  it("leaves alone what mends itself, and what is merely closed", async () => {
    const sse = mock();
    const { container } = await mount(
      <SSEErrorBoundary>
        <Status {...sse.options} />
      </SSEErrorBoundary>,
    );
    await sse.fail(502);
    expect(container.textContent).toBe("reconnecting/false/http");
    await sse.reconnect();
    await sse.closingEvent("SESSION_ENDED");
    expect(container.textContent).toMatch(/^closed\/false/);
  });

  it("is needed: without one nothing throws", async () => {
    const sse = mock();
    const { container } = await mount(<Status {...sse.options} />);
    await sse.fail(403);
    expect(container.textContent).toBe("error/false/auth");
  });

  it("reset mends the connection also for those outside who share it", async () => {
    silenceConsole();
    const sse = mock();
    const outside = seen();
    const { container } = await mount(
      <SSEProvider {...sse.options}>
        <Watch into={outside} />
        <SSEErrorBoundary>
          <Status />
        </SSEErrorBoundary>
      </SSEProvider>,
    );
    await sse.emit("n", 1);
    await sse.fail(403);
    expect(outside.sse.connectionState).toBe("error");
    sse.hub.publish("test", "n", 2);
    await click(container);
    expect([container.textContent, data(outside)]).toEqual(["openopen/true/-", [1, 2]]);
  });

  it("throws other errors on, to the next boundary, and tells nobody else", async () => {
    silenceConsole();
    const onError = vi.fn();
    function Broken(): ReactNode {
      throw new TypeError("not ours");
    }
    const { container } = await mount(
      <Outer>
        <SSEErrorBoundary onError={onError}>
          <Broken />
        </SSEErrorBoundary>
      </Outer>,
    );
    expect(container.textContent).toBe("outer: TypeError: not ours");
    expect(onError).not.toHaveBeenCalled();
  });

  it("catches an SSEError that a component throws itself", async () => {
    silenceConsole();
    function Throws(): ReactNode {
      throw new SSEError("protocol", "mine");
    }
    const { container } = await mount(
      <SSEErrorBoundary fallback={({ error }) => error.kind}>
        <Throws />
      </SSEErrorBoundary>,
    );
    expect(container.textContent).toBe("protocol");
  });
});
