import type { ReactNode } from "react";
import { describe, expect, it } from "vitest";
import type { SSEClient } from "../../src/index.ts";
import { registry } from "../../src/store/connection.ts";
import { useSSEEvent } from "../../src/react/index.ts";
import { settle } from "../../src/testing/index.ts";
import { mock, mount } from "./kit.tsx";

declare const gc: ((options?: { execution: "async" }) => Promise<void>) | undefined;

async function collect(): Promise<void> {
  for (let round = 0; round < 5; round++) {
    await settle(2);
    await gc?.({ execution: "async" });
  }
}

async function heap(): Promise<number> {
  await collect();
  return (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize;
}

/** A function of its own: a variable of a waiting one would keep the last client. */
function clients(): SSEClient[] {
  return [...registry.values()].flatMap((peers) => [...peers].map(({ client }) => client));
}

describe.skipIf(!globalThis.gc)("memory", () => {
  it("clients and handlers of components that are gone are collected", async () => {
    const sse = mock();
    const gone: WeakRef<object>[] = [];
    function Heavy(): ReactNode {
      const payload = new Array(1_000).fill("x");
      const handler = (): void => void payload.length;
      gone.push(new WeakRef(handler));
      useSSEEvent("n", handler, sse.options);
      return null;
    }
    const { render, unmount } = await mount(null);
    for (let round = 0; round < 20; round++) {
      await render(<Heavy key={round} />);
      await sse.emit("n", round);
      clients().forEach((client) => gone.push(new WeakRef(client)));
      await render(null);
    }
    unmount();
    await expect.poll(async () => (await collect(), gone.flatMap((ref, at) => (ref.deref() ? [at] : [])))).toEqual([]);
    expect(gone.length).toBeGreaterThanOrEqual(40);
  });

  it("1,000 mounts and 100,000 events leave the heap where it was", async () => {
    const sse = mock({ history: 10 });
    let heard = 0;
    function Listener({ n }: { n: number }): ReactNode {
      useSSEEvent("n", () => void (heard += 1), { ...sse.options, headers: { "x-n": String(n) } });
      return n;
    }
    const { render } = await mount(null);
    const round = async (mounts: number, events: number): Promise<void> => {
      for (let n = 0; n < mounts; n++) {
        await render(<Listener key={n} n={n} />);
        for (let event = 0; event < events; event++) {
          sse.hub.publish("test", "n", { event, text: "some text, so that an event weighs something" });
        }
        await settle(1);
        if (n % 2) await render(null);
      }
      await render(null);
    };
    await round(100, 100);
    heard = 0;
    const before = await heap();
    await round(1_000, 100);
    expect(heard).toBe(100_000);
    // The figure jumps by some 100 kB by itself; what 100,000 events or 1,000 clients weigh is far above.
    await expect.poll(async () => (await heap()) - before).toBeLessThan(1_000_000);
  }, 240_000);
});
