import { StrictMode, type ReactNode } from "react";
import { describe, expect, it } from "vitest";
import { registry } from "../../src/store/connection.ts";
import { SSEProvider } from "../../src/react/index.ts";
import { Activity, data, mock, mount, seen, Watch } from "./kit.tsx";

const Shown = ({ show, children }: { show: boolean; children: ReactNode }): ReactNode =>
  Activity && <Activity mode={show ? "visible" : "hidden"}>{children}</Activity>;

describe("Activity", () => {
  it("hidden and shown ten times: nothing is open while hidden, and nothing is missed", async () => {
    const sse = mock();
    const into = seen();
    const tree = (show: boolean): ReactNode => (
      <StrictMode>
        <SSEProvider {...sse.options}>
          <Shown show={show}>
            <Watch into={into} />
          </Shown>
        </SSEProvider>
      </StrictMode>
    );
    const { render } = await mount(tree(true));
    const expected: string[] = [];
    for (let round = 0; round < 10; round++) {
      await sse.emit("n", `shown ${round}`);
      await render(tree(false));
      expect([sse.connections, sse.clock.pending, sse.page.listeners, registry.size]).toEqual([0, 0, 0, 0]);
      sse.hub.publish("test", "n", `hidden ${round}`);
      await render(tree(true));
      expected.push(`shown ${round}`, `hidden ${round}`);
      expect([sse.connections, data(into), into.sse.connectionState]).toEqual([1, expected, "open"]);
    }
    expect(sse.requests).toBe(11);
  });

  it("shown again beside one that kept the connection: it catches up, and they share again", async () => {
    const sse = mock();
    const [kept, away] = [seen(), seen()];
    const tree = (show: boolean): ReactNode => (
      <SSEProvider {...sse.options}>
        <Watch into={kept} />
        <Shown show={show}>
          <Watch into={away} />
        </Shown>
      </SSEProvider>
    );
    const { render } = await mount(tree(true));
    const numbers = Array.from({ length: 20 }, (_, n) => n);
    for (const n of numbers) {
      await render(tree(n % 4 === 0));
      await sse.emit("n", n);
    }
    await render(tree(true));
    expect([data(kept), data(away)]).toEqual([numbers, numbers]);
    expect([sse.connections, [...registry.values()].map(({ size }) => size)]).toEqual([1, [1]]);
  });

  it("hidden from the start connects only when it is shown", async () => {
    const sse = mock();
    const into = seen();
    const tree = (show: boolean): ReactNode => (
      <Shown show={show}>
        <Watch {...sse.options} into={into} />
      </Shown>
    );
    const { render } = await mount(tree(false));
    expect(sse.requests).toBe(0);
    await render(tree(true));
    expect([sse.requests, into.sse.connectionState]).toEqual([1, "open"]);
  });

  it("hidden after disconnect stays so when it is shown", async () => {
    const sse = mock();
    const into = seen();
    const tree = (show: boolean): ReactNode => (
      <Shown show={show}>
        <Watch {...sse.options} into={into} />
      </Shown>
    );
    const { render } = await mount(tree(true));
    into.sse.disconnect();
    await render(tree(false));
    await render(tree(true));
    expect([sse.requests, sse.connections, into.sse.connectionState]).toEqual([1, 0, "closed"]);
  });
});
