import { describe, expect, test } from "vitest";
import { ledger } from "../../src/ledger.ts";
import { publish, type NewEvent } from "../../src/publish.ts";
import { startHub } from "../kit/remote.ts";
import { serve } from "../kit/servers.ts";
import { connect } from "../kit/watch.ts";

const numbers = (count: number): NewEvent[] => Array.from({ length: count }, (_, n) => ({ type: "n", data: n }));

describe("publish, to a real hub", () => {
  test("one event, a batch larger than a request may be, and a source, all in order and with their ids", async () => {
    const hub = await startHub();
    const to = { baseUrl: hub.url, sessionId: "s", batchSize: 50 };
    const watched = connect({ baseUrl: hub.url, sessionId: "s", clock: undefined });
    await watched.until("open");
    const [first] = await publish(to, { data: { text: "é\n☃" } });
    const ids = await publish(to, numbers(120));
    async function* source(): AsyncGenerator<NewEvent> {
      yield* numbers(70);
    }
    expect(await publish(to, source())).toBe(70);
    await watched.receive(191);
    expect(watched.ids.slice(0, 121)).toEqual([first, ...ids]);
    expect(watched.events[0]?.data).toEqual({ text: "é\n☃" });
    expect(watched.events.slice(1).map(({ data }) => data)).toEqual([...numbers(120), ...numbers(70)].map(({ data }) => data));
    watched.client.destroy();
  });

  test("an answer that is lost doubles nothing: the request is sent again with its key", async () => {
    const hub = await startHub();
    const watched = connect({ baseUrl: hub.url, sessionId: "s", clock: undefined });
    await watched.until("open");
    const keys: (string | null)[] = [];
    const lossy: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      keys.push(new Headers(init?.headers).get("idempotency-key"));
      if (keys.length % 2) throw new TypeError("the answer got lost");
      return response;
    };
    const to = { baseUrl: hub.url, sessionId: "s", fetch: lossy, random: () => 0 };
    const ids = [...(await publish(to, { data: 1 })), ...(await publish(to, { data: 2 }))];
    await watched.receive(2);
    expect([watched.ids, watched.texts]).toEqual([ids, ["1", "2"]]);
    expect(keys[0]).toBe(keys[1]);
    expect(keys[0]).not.toBe(keys[2]);
    watched.client.destroy();
  });
});

describe("publish", () => {
  const fast = { sessionId: "s", random: () => 0 };

  test("a refusal is thrown at once, with the hub's words and nothing of the token", async () => {
    const problem = JSON.stringify({ detail: "too large", code: "EVENT_TOO_LARGE" });
    const server = await serve({ status: 413, headers: { "content-type": "application/problem+json" }, body: [problem] });
    const failing = publish({ ...fast, baseUrl: server.url, token: "hush-hush" }, { data: 1 });
    await expect(failing).rejects.toMatchObject({ kind: "http", status: 413, code: "EVENT_TOO_LARGE" });
    expect(server.requests).toHaveLength(1);
  });

  test("what may pass is tried again, and given up in the end", async () => {
    const server = await serve({ status: 503 });
    const failing = publish({ ...fast, baseUrl: server.url, maxRetries: 2 }, { data: 1 });
    await expect(failing).rejects.toMatchObject({ kind: "exhausted", cause: { status: 503 } });
    expect(server.requests).toHaveLength(3);
  });

  test("a token function is asked once more after a 401", async () => {
    const answer = { headers: { "content-type": "application/json" }, body: ['{"ids":["1"]}'] };
    const server = await serve({ status: 401 }, answer);
    const asked: boolean[] = [];
    const token = ({ refresh }: { refresh: boolean }): string => (asked.push(refresh), "t");
    expect(await publish({ ...fast, baseUrl: server.url, token }, { data: 1 })).toEqual(["1"]);
    expect(asked).toEqual([false, true]);
  });

  test("a signal ends it, also while it waits, and nothing is left", async () => {
    const server = await serve({ status: 503, headers: { "retry-after": "60" } });
    const ended = new AbortController();
    const publishing = publish({ ...fast, baseUrl: server.url, signal: ended.signal }, { data: 1 });
    await expect.poll(() => server.requests.length).toBe(1);
    await expect.poll(() => server.open).toBe(0);
    ended.abort();
    await expect(publishing).rejects.toMatchObject({ name: "AbortError" });
    expect(ledger.timers).toBe(0);
  });

  test("a source is not read ahead, and is ended when publishing fails", async () => {
    const server = await serve({ status: 400 });
    let given = 0;
    let isEnded = false;
    async function* source(): AsyncGenerator<NewEvent> {
      try {
        for (;;) yield { data: given++ };
      } finally {
        isEnded = true;
      }
    }
    await expect(publish({ ...fast, baseUrl: server.url, batchSize: 10 }, source())).rejects.toMatchObject({ status: 400 });
    expect([given <= 12, isEnded]).toEqual([true, true]);
  });
});
