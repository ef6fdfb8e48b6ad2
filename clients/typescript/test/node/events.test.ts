import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SSEClient } from "../../src/client.ts";
import { createQueue } from "../../src/queue.ts";
import type { Gap, SSEEvent } from "../../src/types.ts";
import { broken, refused, stream } from "../kit/answers.ts";
import { serve } from "../kit/servers.ts";
import { countingSignal } from "../kit/signal.ts";
import { watch } from "../kit/watch.ts";

const numbered = (count: number): string =>
  Array.from({ length: count }, (_, number) => `id:${number + 1}\ndata:${number + 1}\n\n`).join("");

describe("events()", () => {
  test("connects, gives events in order over reconnects, and keeps the connection when it is left", async () => {
    const server = await serve(broken("data:1\n\ndata:2\n\n"), stream("data:3\n\n"));
    const watched = watch({ url: server.url });
    const seen: unknown[] = [];
    const going = (async () => {
      for await (const event of watched.client) {
        seen.push(event.data);
        if (event.data === 3) break;
      }
    })();
    await watched.again();
    await going;
    expect(seen).toEqual([1, 2, 3]);
    expect(watched.client.state).toBe("open");
    expect(server.open).toBe(1);
  });

  test("only of one type, if wanted", async () => {
    const server = await serve(stream("data:1\n\nevent:b\ndata:2\n\ndata:3\n\nevent:b\ndata:4\n\n"));
    const watched = watch({ url: server.url });
    const loop = watched.client.events({ type: "b" });
    expect([(await loop.next()).value?.data, (await loop.next()).value?.data]).toEqual([2, 4]);
  });

  test("of a slow reader is bounded: what did not fit is a gap, in its place and counted", async () => {
    const server = await serve(stream(numbered(50), { wait: "more" }, "id:51\ndata:51\n\n"));
    const watched = watch({ url: server.url });
    const loop = watched.client.events({ highWaterMark: 10 });
    await watched.receive(50);
    const seen: number[] = [];
    let missed = 0;
    const read = async (): Promise<void> => {
      const event = (await loop.next()).value as SSEEvent;
      if (event.type !== "gap") return void seen.push(event.data as number);
      const gap = event.data as Gap;
      expect(gap.reason).toBe("overflow");
      missed += gap.missed ?? 0;
      seen.push(...new Array<number>(gap.missed ?? 0).fill(0));
    };
    for (let turn = 0; turn < 11; turn++) await read();
    server.release("more");
    await read();
    expect(missed).toBe(40);
    // Each event stands where it would without the hole.
    expect(seen).toHaveLength(51);
    seen.forEach((number, at) => expect([0, at + 1]).toContain(number));
    expect(seen.at(-1)).toBe(51);
  });

  test("of a reader that keeps up has no gap", async () => {
    const server = await serve(stream(...Array.from({ length: 200 }, (_, number) => `data:${number}\n\n`)));
    const watched = watch({ url: server.url });
    const seen: unknown[] = [];
    for await (const event of watched.client.events()) {
      seen.push(event.data);
      if (seen.length === 200) break;
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, number) => number));
  });

  test("ends when the client does, after what is queued", async () => {
    const server = await serve(stream("data:1\n\ndata:2\n\n"));
    const watched = watch({ url: server.url });
    const loop = watched.client.events();
    await watched.receive(2);
    watched.client.disconnect();
    const seen: unknown[] = [];
    for await (const event of loop) seen.push(event.data);
    expect(seen).toEqual([1, 2]);
  });

  test("ends for who waits already", async () => {
    const server = await serve(stream());
    const watched = watch({ url: server.url });
    const loop = watched.client.events();
    const waiting = [loop.next(), loop.next()];
    await watched.until("open");
    watched.client.destroy();
    await expect(Promise.all(waiting)).resolves.toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
    await expect(watched.client.events().next()).resolves.toEqual({ done: true, value: undefined });
  });

  test("throws what the client fails with for good, once", async () => {
    const server = await serve(refused(404));
    const watched = watch({ url: server.url });
    const loop = watched.client.events();
    await expect(loop.next()).rejects.toMatchObject({ name: "SSEError", kind: "http", status: 404 });
    await expect(loop.next()).resolves.toEqual({ done: true, value: undefined });
  });

  test("is over when its signal says so, and leaves no listener on it", async () => {
    const server = await serve(stream("data:1\n\n"));
    const watched = watch({ url: server.url });
    const { signal, abort, listeners } = countingSignal();
    const loop = watched.client.events({ signal });
    const other = watched.client.events({ signal });
    expect((await loop.next()).value?.data).toBe(1);
    const waiting = loop.next();
    await other.return();
    expect(listeners()).toBe(1);
    abort();
    await expect(waiting).resolves.toEqual({ done: true, value: undefined });
    expect(listeners()).toBe(0);
    expect(watched.client.state).toBe("open");
  });

  test("with a signal that is aborted already neither connects nor waits", async () => {
    const server = await serve(stream("data:1\n\n"));
    const watched = watch({ url: server.url });
    await expect(watched.client.events({ signal: AbortSignal.abort() }).next()).resolves.toMatchObject({ done: true });
    await server.barrier();
    expect(server.requests).toHaveLength(0);
  });

  test("ends with the client also where an application's own connect has not begun", async () => {
    class Later extends SSEClient {
      override connect(): void {}
    }
    const client = new Later({ url: "http://server.invalid/" });
    client.disconnect();
    const waiting = client.events().next();
    client.destroy();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });

  test("with a mark of nothing still gives events", async () => {
    const server = await serve(stream("data:1\n\n", { wait: "more" }, "data:2\n\n"));
    const watched = watch({ url: server.url });
    const loop = watched.client.events({ highWaterMark: 0 });
    expect((await loop.next()).value?.data).toBe(1);
    server.release("more");
    expect((await loop.next()).value?.data).toBe(2);
  });
});

test("however reading and events interleave, every event comes or is counted in a gap, in order", async () => {
  const step = fc.constantFrom("push" as const, "push" as const, "next" as const, "tick" as const);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), async (steps, highWaterMark) => {
      let push!: (event: SSEEvent) => void;
      let end!: () => void;
      const queue = createQueue({ highWaterMark }, (...given) => {
        [push, end] = given;
        return [];
      });
      let pushed = 0;
      const results: Promise<IteratorResult<SSEEvent, undefined>>[] = [];
      for (const what of steps) {
        if (what === "push") {
          pushed++;
          push({ type: "message", data: pushed, text: String(pushed), id: String(pushed) });
        } else if (what === "next") results.push(queue.next());
        else await new Promise((resolve) => setImmediate(resolve));
      }
      end();
      const given = (await Promise.all(results)).flatMap(({ value }) => (value ? [value] : []));
      for await (const event of queue) given.push(event);
      let position = 0;
      for (const event of given) {
        position += event.type === "gap" ? ((event.data as Gap).missed ?? NaN) : 1;
        if (event.type === "gap") expect((event.data as Gap).to).toBe(String(position));
        else expect(event.data).toBe(position);
      }
      expect(position).toBe(pushed);
    }),
    { numRuns: 300 },
  );
});
