import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import type { PollAnswer } from "../../src/answer.ts";
import { SSEError } from "../../src/errors.ts";
import { publish } from "../../src/publish.ts";
import { stream as request } from "../../src/stream.ts";
import { settle } from "../../src/testing/index.ts";
import type { AttemptContext } from "../../src/types.ts";
import { ended, poll, stream } from "../kit/answers.ts";
import type { Answer } from "../kit/scripted.ts";
import { serve, serveWith } from "../kit/servers.ts";
import { createTokenHub, type TokenHub } from "../kit/token-hub.ts";
import { startTokenHub } from "../kit/token-hub-real.ts";
import { connect, watch } from "../kit/watch.ts";

// Tokens that end while a stream is open. What the first part says holds for every hub that is in `hubs`.

const hubs: [string, () => Promise<TokenHub>][] = [
  ["the hub in memory", async () => createTokenHub()],
  ["a real hub", startTokenHub],
];

/**
 * A token function as applications have it: the last token, until it is told to get another one. The first `expiring` ones are
 * short-lived.
 */
function cached(hub: TokenHub, expiring = 0): { asked: boolean[]; current: () => string; token: (context: AttemptContext) => Promise<string> } {
  const asked: boolean[] = [];
  let last = "";
  return {
    asked,
    current: () => last,
    token: async ({ refresh }) => {
      asked.push(refresh);
      if (refresh || !last) last = await hub.mint(asked.length > expiring ? 600 : undefined);
      return last;
    },
  };
}

describe.each(hubs)("a token of %s", (_, start) => {
  test("that expires is replaced, and the stream goes on from the same event", async () => {
    const hub = await start();
    const { token, asked, current } = cached(hub, 3);
    const watched = connect({ baseUrl: hub.baseUrl, sessionId: "s", fetch: hub.fetch, token });
    await watched.until("open");
    await hub.publish("s", "1");
    await watched.receive(1);
    for (let turn = 2; turn <= 4; turn++) {
      await hub.expire(current());
      await watched.until("reconnecting");
      // Nobody is there: the next stream has to bring it.
      await hub.publish("s", String(turn));
      await watched.again();
      await watched.until("open");
    }
    await expect.poll(() => watched.texts.filter((text) => text.length === 1)).toEqual(["1", "2", "3", "4"]);
    expect(watched.events.filter(({ type }) => type === "gap")).toEqual([]);
    expect(asked).toEqual([false, true, true, true]);
    expect(new Set(watched.errors.map(({ code }) => code))).toEqual(new Set(["TOKEN_EXPIRED"]));
    // A fresh one serves until it is refused itself.
    watched.client.reconnect();
    await expect.poll(() => asked.length).toBe(5);
    expect(asked[4]).toBe(false);
    await watched.until("open");
    // Three tokens of a real hub are waited for.
  }, 120_000);

  test("that is revoked ends the client with its code", async () => {
    const hub = await start();
    const { token, asked, current } = cached(hub);
    const watched = connect({ baseUrl: hub.baseUrl, sessionId: "s", fetch: hub.fetch, token });
    await watched.until("open");
    await hub.revoke(current());
    await watched.until("error");
    expect(watched.client.status.error).toMatchObject({ kind: "auth", code: "TOKEN_REVOKED", retryable: false });
    watched.clock.advance(600_000);
    await settle();
    expect(asked).toEqual([false]);
  });

  test("that is a string, and over, ends it with the first 401", async () => {
    const hub = await start();
    const token = await hub.mint();
    const watched = connect({ baseUrl: hub.baseUrl, sessionId: "s", fetch: hub.fetch, token });
    await watched.until("open");
    await hub.expire(token);
    await watched.again();
    await watched.until("error");
    expect(watched.client.status.error).toMatchObject({ kind: "auth", status: 401 });
    expect(["TOKEN_EXPIRED", "INVALID_TOKEN"]).toContain(watched.client.status.error?.code);
  });
});

describe("what is asked of a token function", () => {
  test("once more after a 401, within the same attempt, and no failure is told", async () => {
    const hub = createTokenHub();
    const { token, asked } = cached(hub);
    const watched = watch({ sessionId: "s", fetch: hub.fetch, token: (context) => (context.refresh ? token(context) : "stale") });
    watched.client.connect();
    await watched.until("open");
    expect([watched.errors, watched.states, hub.tokens]).toEqual([[], ["connecting", "open"], ["stale", "token-1"]]);
    expect(asked).toEqual([true]);
  });

  test("not a third time: what is refused as a fresh one, too, is over", async () => {
    const hub = createTokenHub();
    const { token, asked } = cached(hub);
    const watched = connect({ sessionId: "s", fetch: hub.fetch, token });
    await watched.until("open");
    hub.mint = async () => "never good";
    await hub.expire("token-1");
    await watched.again();
    await watched.until("error");
    watched.clock.advance(600_000);
    await settle();
    expect(watched.client.status.error).toMatchObject({ kind: "auth", status: 401, code: "TOKEN_EXPIRED", retryable: false });
    expect([asked, hub.tokens]).toEqual([[false, true], ["token-1", "never good"]]);
  });

  test("after a network that failed in between the fresh one is kept, not asked for again", async () => {
    const hub = createTokenHub();
    const { token, asked } = cached(hub);
    const watched = connect({ sessionId: "s", fetch: hub.fetch, token });
    await watched.until("open");
    await hub.expire("token-1");
    hub.hub.refuse(1, new TypeError("no network"));
    await watched.again();
    await watched.again();
    await watched.until("open");
    expect(asked).toEqual([false, true, false]);
    expect(hub.tokens).toEqual(["token-1", "token-2", "token-2"]);
  });

  test("one that fails itself is asked again, with back-off", async () => {
    const hub = createTokenHub();
    let isDown = true;
    const watched = connect({
      sessionId: "s",
      fetch: hub.fetch,
      token: async ({ refresh }) => {
        if (!refresh) return "stale";
        if (isDown) throw new Error("the issuer is down");
        return hub.mint();
      },
    });
    await watched.until("reconnecting");
    expect(watched.errors).toMatchObject([{ kind: "network", cause: { message: "the issuer is down" } }]);
    isDown = false;
    await watched.again();
    await watched.until("open");
  });

  test("of maxRetries it takes none after a 401", async () => {
    const hub = createTokenHub();
    const watched = connect({
      sessionId: "s",
      fetch: hub.fetch,
      maxRetries: 0,
      token: ({ refresh }) => (refresh ? hub.mint() : "stale"),
    });
    await watched.until("open");
  });

  test("what a refusal had to say is given back before the next request", async () => {
    const server = await serve({ status: 401, body: ["words without an end"], then: "hang" }, stream("data:1\n\n"));
    const watched = connect({ url: server.url, token: () => "t" });
    await watched.receive(1);
    await expect.poll(() => server.open).toBe(1);
  });

  test("the time limit of a connection begins anew with the second request", async () => {
    const server = await serve({ status: 401 }, { mute: true });
    const watched = connect({ url: server.url, token: () => "t" });
    await expect.poll(() => server.requests.length).toBe(2);
    watched.clock.advance(9_999);
    expect(watched.client.state).toBe("connecting");
    watched.clock.advance(10_000);
    await watched.until("reconnecting");
    expect(watched.errors).toMatchObject([{ kind: "timeout" }]);
  });
});

describe("codes that are final", () => {
  test.each(["TOKEN_REVOKED", "FORBIDDEN"])("%s in a closing event", async (code) => {
    const hub = createTokenHub();
    const { token, asked } = cached(hub);
    const watched = connect({ sessionId: "s", fetch: hub.fetch, token });
    await watched.until("open");
    hub.hub.closingEvent(code, "no more");
    await watched.until("error");
    expect(watched.errors).toMatchObject([{ kind: "auth", code, message: "no more", retryable: false }]);
    expect(asked).toEqual([false]);
    expect(watched.clock.pending).toBe(0);
  });

  test("403, which asks for no token", async () => {
    const hub = createTokenHub();
    const { token, asked } = cached(hub);
    hub.hub.refuse(1, 403, { code: "FORBIDDEN", detail: "not yours" });
    const watched = connect({ sessionId: "s", fetch: hub.fetch, token });
    await watched.until("error");
    expect(watched.errors).toMatchObject([{ kind: "auth", status: 403, code: "FORBIDDEN" }]);
    expect(asked).toEqual([false]);
  });

  test("a code of these from a server that is no hub is an event like any other", async () => {
    const server = await serve(ended('event: error\ndata: {"code":"TOKEN_REVOKED"}\n\n'), stream("data:2\n\n"));
    const watched = connect({ url: server.url, token: "t" });
    await watched.again();
    await watched.receive(2);
    expect(watched.client.state).toBe("open");
  });
});

describe("over long-polls", () => {
  const refusal = { status: 401, headers: { "content-type": "application/problem+json" }, body: ['{"code":"TOKEN_EXPIRED"}'] };
  const isPoll = ({ headers }: { headers: Record<string, string> }): boolean => headers["accept"] === "application/json";

  /** Where only long-polls get through, and get these answers. */
  const pollsOnly = async (...answers: (Answer | PollAnswer)[]) => {
    const seen: string[] = [];
    const server = await serveWith((asked) => {
      if (!isPoll(asked)) return { mute: true };
      seen.push(`${asked.headers["authorization"]} ${new URL(asked.path, "http://x").searchParams.get("after")}`);
      const answer = answers.shift() ?? { mute: true };
      return "events" in answer ? poll(answer) : answer;
    });
    const asked: boolean[] = [];
    const watched = connect({
      url: server.url,
      enablePollingFallback: true,
      maxRetryDelay: 100,
      token: ({ refresh }) => `t${asked.push(refresh)}`,
    });
    for (let turn = 0; turn < 3; turn++) {
      await expect.poll(() => server.requests.length).toBe(turn + 1);
      watched.clock.advance(10_000);
      await watched.again();
    }
    return { watched, seen, asked, server };
  };

  test("401 is answered with a fresh token, by another long-poll from the same event", async () => {
    const { watched, seen, asked } = await pollsOnly(
      { events: [{ id: "a", type: "message", data: "1" }], next: "a" },
      refusal,
      { events: [{ id: "b", type: "message", data: "2" }], next: "b" },
    );
    await watched.receive(1);
    await expect.poll(() => watched.clock.next).toBeLessThan(10_000);
    watched.clock.advance(watched.clock.next);
    await watched.receive(2);
    expect(watched.client.state).toBe("polling");
    expect(seen.slice(0, 3)).toEqual(["Bearer t4 null", "Bearer t5 a", "Bearer t6 a"]);
    expect(asked.slice(0, 6)).toEqual([false, false, false, false, false, true]);
  });

  test("an end with TOKEN_EXPIRED is, too", async () => {
    const { watched, asked } = await pollsOnly({ events: [], next: "a", end: { error: "over", code: "TOKEN_EXPIRED" } });
    await watched.again();
    await expect.poll(() => asked).toEqual([false, false, false, false, true]);
  });

  test("an end with TOKEN_REVOKED is the end", async () => {
    const { watched, server } = await pollsOnly({ events: [], next: "a", end: { error: "over", code: "TOKEN_REVOKED" } });
    await watched.until("error");
    expect(watched.client.status.error).toMatchObject({ kind: "auth", code: "TOKEN_REVOKED" });
    await server.barrier();
    expect(server.requests).toHaveLength(4);
  });
});

describe("stream()", () => {
  const heartbeat = { "content-type": "text/event-stream", "heartbeat-interval": "15" };
  const collect = async (url: string, token: (context: AttemptContext) => string): Promise<unknown[]> => {
    const got: unknown[] = [];
    try {
      for await (const { type, data } of request(url, { method: "POST", body: "b", token })) got.push(type === "error" ? "error" : data);
    } catch (error) {
      got.push(error instanceof SSEError ? [error.kind, error.code, error.status] : error);
    }
    return got;
  };

  test("sends its request once more with a fresh token, and no third time", async () => {
    const server = await serve({ status: 401 }, { ...ended("data:1\n\n") }, { status: 401 });
    const asked: boolean[] = [];
    const token = ({ refresh }: AttemptContext): string => `t${asked.push(refresh)}`;
    expect(await collect(server.url, token)).toEqual([1]);
    expect(asked).toEqual([false, true]);
    expect(await collect(server.url, token)).toEqual([["auth", undefined, 401]]);
    expect(server.requests).toHaveLength(4);
  });

  test("is not sent again in the middle of an answer: TOKEN_EXPIRED is its error", async () => {
    const server = await serve({ headers: heartbeat, body: ['data:1\n\nevent:error\ndata:{"code":"TOKEN_EXPIRED"}\n\n'] });
    expect(await collect(server.url, () => "t")).toEqual([1, "error", ["closing", "TOKEN_EXPIRED", undefined]]);
    expect(server.requests).toHaveLength(1);
  });
});

describe("publish()", () => {
  const taken = { headers: { "content-type": "application/json" }, body: ['{"ids":["1"]}'] };
  const problem = { status: 401, headers: { "content-type": "application/problem+json" }, body: ['{"code":"TOKEN_EXPIRED"}'] };
  const clock = { now: () => 0, setTimeout: (go: () => void, ms: number) => setTimeout(go, ms < 60_000 ? 0 : ms), clearTimeout };

  test("refused twice in a row is over, with the code", async () => {
    const server = await serve(problem);
    const asked: boolean[] = [];
    const token = ({ refresh }: AttemptContext): string => `t${asked.push(refresh)}`;
    const failing = publish({ baseUrl: server.url, sessionId: "s", clock, token }, { data: 1 });
    await expect(failing).rejects.toMatchObject({ kind: "auth", status: 401, code: "TOKEN_EXPIRED" });
    expect(asked).toEqual([false, true]);
  });

  test("a string that is refused is over at once, and so is 403", async () => {
    const server = await serve(problem, { status: 403 });
    await expect(publish({ baseUrl: server.url, sessionId: "s", clock, token: "t" }, { data: 1 })).rejects.toMatchObject({ status: 401 });
    await expect(publish({ baseUrl: server.url, sessionId: "s", clock, token: () => "t" }, { data: 1 })).rejects.toMatchObject({ status: 403 });
    expect(server.requests).toHaveLength(2);
  });

  test("the fresh token takes no retry, is kept over other failures, and the key stays the same", async () => {
    const server = await serve(problem, { status: 503 }, taken);
    const asked: boolean[] = [];
    const token = ({ refresh }: AttemptContext): string => `t${asked.push(refresh)}`;
    expect(await publish({ baseUrl: server.url, sessionId: "s", clock, maxRetries: 1, token }, { data: 1 })).toEqual(["1"]);
    expect(asked).toEqual([false, true, false]);
    expect(new Set(server.requests.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
  });

  test("each batch of a long-lived source may be refused once", async () => {
    const server = await serve(problem, taken, problem, taken);
    const asked: boolean[] = [];
    const token = ({ refresh }: AttemptContext): string => `t${asked.push(refresh)}`;
    const to = { baseUrl: server.url, sessionId: "s", clock, maxRetries: 0, batchSize: 1, token };
    expect(await publish(to, [{ data: 1 }, { data: 2 }])).toEqual(["1", "1"]);
    expect(asked).toEqual([false, true, false, true]);
  });
});

test("no token, old or new, is in anything that is told", async () => {
  const hub = createTokenHub();
  let number = 0;
  const token = (): string => `hush-hush-${++number}`;
  const told: unknown[] = [];
  const watched = connect({ sessionId: "s", fetch: hub.fetch, token, debug: ({ client: _, ...record }) => told.push(record) });
  await watched.until("error");
  expect(number).toBe(2);
  const shown = inspect([watched.client, watched.errors, told], { depth: Infinity, showHidden: true });
  expect(shown + JSON.stringify(told)).not.toContain("hush-hush");
});
