import { StrictMode, type ReactNode } from "react";
import { describe, expect, it } from "vitest";
import { SSEErrorBoundary, SSEProvider } from "../../src/react/index.ts";
import { startHub } from "../kit/remote.ts";
import { data, mount, mountStrict, seen, Status, Watch } from "./kit.tsx";

// Over a network, with a hub as it is.

describe("with a real hub", () => {
  it("three components are one connection, and after unmounting none", async () => {
    const hub = await startHub();
    const all = [seen(), seen(), seen()];
    const { unmount } = await mountStrict(
      <SSEProvider baseUrl={hub.url} sessionId="s">
        {all.map((into, at) => (
          <Watch key={at} into={into} headers={{}} />
        ))}
      </SSEProvider>,
    );
    await expect.poll(() => all[0]?.sse.connectionState).toBe("open");
    expect(await hub.open()).toBe(1);
    await hub.publish("s", ["1", "2", "3"], "n");
    for (const into of all) await expect.poll(() => data(into)).toEqual(["1", "2", "3"]);
    unmount();
    await expect.poll(() => hub.open()).toBe(0);
  });

  it("who left comes back to what was published meanwhile, alone and beside others", async () => {
    const hub = await startHub();
    const [away, kept] = [seen(), seen()];
    const tree = (beside: boolean): ReactNode => (
      <SSEProvider baseUrl={hub.url} sessionId="s">
        <Watch into={away} />
        {beside && <Watch into={kept} />}
      </SSEProvider>
    );
    const { render } = await mount(tree(false));
    await expect.poll(() => away.sse.connectionState).toBe("open");
    const expected: string[] = [];
    for (const beside of [false, true]) {
      await render(tree(beside));
      away.sse.disconnect();
      await expect.poll(() => hub.open()).toBe(beside ? 1 : 0);
      const next = [1, 2, 3].map((n) => String(expected.length + n));
      await hub.publish("s", next, "n");
      if (beside) await expect.poll(() => data(kept)).toEqual(next);
      expected.push(...next);
      away.sse.connect();
      await expect.poll(() => data(away)).toEqual(expected);
      await expect.poll(() => hub.open()).toBe(1);
    }
    await hub.publish("s", ["7"], "n");
    await expect.poll(() => data(away)).toEqual([...expected, "7"]);
    await expect.poll(() => data(kept)).toEqual(["4", "5", "6", "7"]);
  });

  it("a hub that is killed and begins anew: components reconnect, and are told of the gap", async () => {
    const hub = await startHub();
    const [numbers, gaps] = [seen(), seen()];
    const { container } = await mountStrict(
      <SSEProvider baseUrl={hub.url} sessionId="s" retryDelay={100} maxRetryDelay={300}>
        <SSEErrorBoundary>
          <Watch into={numbers} />
          <Watch type="gap" into={gaps} />
        </SSEErrorBoundary>
      </SSEProvider>,
    );
    await expect.poll(() => container.textContent).toBe("openopen");
    await hub.publish("s", ["1"], "n");
    await expect.poll(() => data(numbers)).toEqual(["1"]);
    await hub.kill();
    await expect.poll(() => container.textContent).toBe("reconnectingreconnecting");
    await hub.restart();
    await expect.poll(() => data(gaps)).toMatchObject([{ reason: "epoch" }]);
    await hub.publish("s", ["2"], "n");
    await expect.poll(() => data(numbers)).toEqual(["1", "2"]);
  });

  it("100 mounts and unmounts leave the hub without a subscriber", async () => {
    const hub = await startHub();
    const { render } = await mount(null);
    for (let round = 0; round < 100; round++) {
      await render(
        <StrictMode>
          <Status key={round} baseUrl={hub.url} sessionId={`s${round % 3}`} />
        </StrictMode>,
      );
      if (round % 10 === 0) await expect.poll(() => hub.open()).toBe(1);
      await render(null);
    }
    await expect.poll(() => hub.open()).toBe(0);
  });
});
