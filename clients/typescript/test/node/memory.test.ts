import { describe, expect, test } from "vitest";
import { SSEClient } from "../../src/client.ts";
import { ledger } from "../../src/ledger.ts";
import { refused, stream } from "../kit/answers.ts";
import { serve } from "../kit/servers.ts";
import { createPage } from "../../src/testing/page.ts";

/** Whether all of them are gone after a few collections. */
async function collected(refs: WeakRef<object>[]): Promise<void> {
  await expect
    .poll(() => {
      gc?.();
      return refs.filter((ref) => ref.deref() !== undefined).length;
    }, { interval: 50, message: "objects that stayed" })
    .toBe(0);
}

describe("nothing stays in memory", () => {
  test.each<["destroy" | "disconnect"]>([["destroy"], ["disconnect"]])(
    "of a client, its handlers and its loop after %s, though page and signal live on",
    async (end) => {
      const server = await serve(stream("data:1\n\n"));
      const page = createPage();
      const controller = new AbortController();
      const refs: WeakRef<object>[] = [];
      await (async () => {
        for (let round = 0; round < 5; round++) {
          const client = new SSEClient({ url: server.url, page, ...(end === "destroy" && { signal: controller.signal }) });
          let seen = 0;
          const handler = (): void => void seen++;
          const off = client.on("message", handler);
          const loop = client.events();
          client.connect();
          await loop.next();
          expect(seen).toBe(1);
          refs.push(new WeakRef(client), new WeakRef(handler), new WeakRef(loop));
          if (end === "disconnect") off();
          client[end]();
          await loop.next();
        }
      })();
      await collected(refs);
      expect(page.listeners).toBe(0);
    },
  );

  test("of a client that was let go while it waited for a token", async () => {
    const refs: WeakRef<object>[] = [];
    (() => {
      const client = new SSEClient({ url: "http://127.0.0.1:9/", token: () => new Promise<string>(() => {}) });
      client.connect();
      refs.push(new WeakRef(client));
      client.destroy();
    })();
    await collected(refs);
  });

  test("of a thousand clients, begun and ended at once", async () => {
    const server = await serve(stream());
    for (let round = 0; round < 1_000; round++) {
      const client = new SSEClient({ url: server.url });
      client.on("*", () => {});
      client.connect();
      client.disconnect();
      client.connect();
      client.destroy();
    }
    expect(ledger).toEqual({ clients: 0, attempts: 0, timers: 0, listeners: 0, handlers: 0 });
    await server.barrier();
    expect(server.requests).toHaveLength(0);
  });

  test("of fifty clients that were refused, over and over", async () => {
    const server = await serve(refused(503));
    for (let round = 0; round < 50; round++) {
      const client = new SSEClient({ url: server.url, retryDelay: 100, onError: () => {} });
      client.connect();
      await expect.poll(() => client.state).toBe("reconnecting");
      client.destroy();
    }
    expect(process.getActiveResourcesInfo().filter((name) => name === "Timeout").length).toBeLessThan(10);
  });

  test("of 100,000 events", async () => {
    const server = await serve(stream());
    const client = new SSEClient({ url: server.url });
    let seen = 0;
    client.on("*", () => void seen++);
    client.connect();
    await expect.poll(() => client.state).toBe("open");
    const portion = Array.from({ length: 1_000 }, (_, number) => `id:${number}\nevent:t\ndata:{"n":${number},"text":"${"x".repeat(100)}"}\n\n`).join("");
    const send = async (portions: number): Promise<void> => {
      for (let count = 0; count < portions; count++) {
        server.send(portion);
        const goal = seen - (seen % 1_000) + 1_000;
        await expect.poll(() => seen).toBeGreaterThanOrEqual(goal);
      }
    };
    const heap = (): number => (gc?.(), gc?.(), process.memoryUsage().heapUsed);
    await send(10);
    const before = heap();
    await send(100);
    expect(seen).toBe(110_000);
    // Some 15 MB of events went by.
    expect(heap() - before).toBeLessThan(2_000_000);
    client.destroy();
  });
});
