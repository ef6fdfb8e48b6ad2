import { expect, test } from "vitest";
import { cdp } from "vitest/browser";
import { SSEClient } from "../../src/client.ts";
import { stream } from "../kit/answers.ts";
import { startScripted } from "../kit/remote.ts";

/** The part of the DevTools protocol that is used here. */
interface Session {
  send(method: "HeapProfiler.collectGarbage" | "HeapProfiler.enable"): Promise<void>;
  send(method: "Runtime.getHeapUsage"): Promise<{ usedSize: number }>;
}

async function heap(): Promise<number> {
  const session = cdp() as unknown as Session;
  await session.send("HeapProfiler.enable");
  await session.send("HeapProfiler.collectGarbage");
  await session.send("HeapProfiler.collectGarbage");
  return (await session.send("Runtime.getHeapUsage")).usedSize;
}

test("100,000 events leave the heap where it was", async () => {
  const server = await startScripted(stream());
  const client = new SSEClient({ url: server.url });
  let seen = 0;
  client.on("*", () => void seen++);
  client.connect();
  await expect.poll(() => client.state).toBe("open");
  const portion = Array.from({ length: 1_000 }, (_, at) => `id:${at}\nevent:t\ndata:{"n":${at},"text":"${"x".repeat(100)}"}\n\n`).join("");
  const send = async (portions: number): Promise<void> => {
    for (let count = 1; count <= portions; count++) {
      const goal = seen + 1_000;
      await server.send(portion);
      await expect.poll(() => seen).toBe(goal);
    }
  };
  await send(10);
  const before = await heap();
  await send(100);
  expect(seen).toBe(110_000);
  // Some 15 MB of events went by.
  expect((await heap()) - before).toBeLessThan(3_000_000);
  client.destroy();
}, 240_000);

test("a client, its handlers and its loop are collected after destroy, though the page lives on", async () => {
  const server = await startScripted(stream("data:1\n\n"));
  const refs: WeakRef<object>[] = [];
  await (async () => {
    for (let round = 0; round < 5; round++) {
      const client = new SSEClient({ url: server.url });
      let seen = 0;
      const handler = (): void => void seen++;
      client.on("message", handler);
      const loop = client.events();
      client.connect();
      await loop.next();
      expect(seen).toBe(1);
      refs.push(new WeakRef(client), new WeakRef(handler), new WeakRef(loop));
      client.destroy();
      await loop.next();
    }
  })();
  await expect
    .poll(async () => {
      await heap();
      return refs.filter((ref) => ref.deref() !== undefined).length;
    })
    .toBe(0);
});

test("the collector can be called", () => {
  expect(typeof gc).toBe("function");
});
