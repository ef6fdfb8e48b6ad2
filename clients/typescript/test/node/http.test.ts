import { describe, expect, test } from "vitest";
import { broken, ended, mute, refused, stream } from "../kit/answers.ts";
import type { Answer } from "../kit/scripted.ts";
import { serve, serveWith } from "../kit/servers.ts";
import { connect } from "../kit/watch.ts";

const typed = (type: string | undefined, status = 200): Answer => ({
  status,
  headers: type === undefined ? {} : { "content-type": type },
  body: ["data:a\n\n"],
  then: "hang",
});

describe("the request", () => {
  test("is a GET for an event stream that no cache may answer, without an id at first", async () => {
    const server = await serve(stream("data:a\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(1);
    const [request] = server.requests;
    expect(request).toMatchObject({ method: "GET", path: "/stream", body: "" });
    expect(request?.headers).toMatchObject({ accept: "text/event-stream", "cache-control": "no-cache" });
    expect(request?.headers).not.toHaveProperty("last-event-id");
    expect(request?.headers).not.toHaveProperty("authorization");
  });

  test("carries what the application gives, asked anew before each attempt", async () => {
    const server = await serve(broken(), stream("data:a\n\n"));
    let asked = 0;
    const watched = connect({
      url: async () => new URL(`${server.url}?n=${++asked}`),
      headers: () => ({ "x-asked": String(asked) }),
      token: async () => `token-${asked}`,
      body: () => `body-${asked}`,
      method: "POST",
      onEnd: "reconnect",
      lastEventId: "start",
    });
    await watched.again();
    await watched.receive(1);
    expect(server.requests).toMatchObject([
      { method: "POST", path: "/stream?n=1", body: "body-1", headers: { authorization: "Bearer token-1", "last-event-id": "start" } },
      { method: "POST", path: "/stream?n=2", body: "body-2", headers: { authorization: "Bearer token-2", "last-event-id": "start" } },
    ]);
  });

  test.each(["POST", "REPORT", "PUT"])("%s carries its body again when it is sent again", async (method) => {
    const server = await serve(ended(), stream("data:a\n\n"));
    const watched = connect({ url: server.url, method, onEnd: "reconnect", body: '{"a":1}', headers: { "content-type": "application/json" } });
    await watched.again();
    await watched.receive(1);
    for (const request of server.requests) {
      expect(request).toMatchObject({ method, body: '{"a":1}', headers: { "content-type": "application/json" } });
    }
  });

  test("asks for the replay that is wanted, until there is an id to resume from", async () => {
    const server = await serve(broken(), broken("id:7\ndata:a\n\n"), stream("data:b\n\n"));
    const watched = connect({ url: `${server.url}?x=1`, replay: "all" });
    await watched.again();
    await watched.again();
    await watched.receive(2);
    expect(server.requests.map(({ path }) => path)).toEqual(["/stream?x=1&replay=all", "/stream?x=1&replay=all", "/stream?x=1"]);
  });

  test("what a function of the application throws is a failure that is tried again", async () => {
    const server = await serve(stream("data:a\n\n"));
    let asked = 0;
    const watched = connect({
      url: server.url,
      token: () => {
        if (!asked++) throw new Error("no token today");
        return "t";
      },
    });
    await watched.again();
    await watched.receive(1);
    expect(watched.errors).toMatchObject([{ kind: "network", retryable: true }]);
    // In the cause, not in the message: it may quote what nobody should see.
    expect(watched.errors[0]?.cause).toMatchObject({ message: "no token today" });
  });

  test("two of them that throw leave no failure that nobody waits for", async () => {
    const server = await serve(stream("data:a\n\n"));
    const orphans: unknown[] = [];
    const orphan = (reason: unknown): number => orphans.push(reason);
    process.on("unhandledRejection", orphan);
    let asked = 0;
    const watched = connect({
      url: server.url,
      token: async () => {
        if (asked < 2) throw new Error("no token");
        return "t";
      },
      headers: () => {
        if (!asked++) throw new Error("no headers");
        return {};
      },
    });
    await watched.again();
    await watched.again();
    await watched.receive(1);
    process.off("unhandledRejection", orphan);
    expect(orphans).toEqual([]);
  });

  test("a secret that no header can carry is in no message", async () => {
    const server = await serve(stream());
    const watched = connect({ url: server.url, token: "sec\nret", maxRetries: 0 });
    await watched.until("error");
    expect(watched.client.status.error?.message).not.toContain("sec");
    expect(server.requests).toHaveLength(0);
  });
});

describe("an answer that is an event stream", () => {
  test.each(["text/event-stream", "Text/Event-Stream", "text/event-stream;", "text/event-stream; charset=utf-8", 'text/event-stream; charset="UTF-8"'])(
    "%s",
    async (type) => {
      const server = await serve(typed(type));
      const watched = connect({ url: server.url });
      await watched.receive(1);
      expect(watched.texts).toEqual(["a"]);
    },
  );
});

describe("an answer that is none is fatal, and its body is not left open", () => {
  test.each<[string, Answer]>([
    ["another charset", typed("text/event-stream; charset=iso-8859-1")],
    ["a longer type", typed("text/event-streamX")],
    ["JSON", typed("application/json")],
    ["no type", typed(undefined)],
    ["201", typed("text/event-stream", 201)],
    ["206", typed("text/event-stream", 206)],
    ["299", typed("text/event-stream", 299)],
    ["205", { status: 205, headers: { "content-type": "text/event-stream" } }],
  ])("%s", async (_, answer) => {
    const server = await serve(answer);
    const watched = connect({ url: server.url });
    await watched.until("error");
    expect(watched.errors).toMatchObject([{ kind: "protocol", retryable: false }]);
    expect(watched.client.status.error).toBe(watched.errors[0]);
    expect(watched.events).toEqual([]);
    expect(watched.clock.pending).toBe(0);
    await expect.poll(() => server.open).toBe(0);
  });
});

describe("redirects", () => {
  test.each([301, 302, 303, 307, 308])("%d is followed, and a reconnect goes to the original URL", async (status) => {
    let answers = 0;
    const server = await serveWith(({ path }): Answer => {
      if (path === "/stream") return { status, headers: { location: "/elsewhere" } };
      return answers++ ? stream("data:b\n\n") : broken("data:a\n\n");
    });
    const watched = connect({ url: server.url });
    await watched.receive(1);
    await watched.again();
    await watched.receive(2);
    expect(server.requests.map(({ path }) => path)).toEqual(["/stream", "/elsewhere", "/stream", "/elsewhere"]);
  });

  test("a loop of them is a failure that is tried again later, not a storm", async () => {
    const server = await serve({ status: 302, headers: { location: "/stream" } });
    const watched = connect({ url: server.url });
    await watched.until("reconnecting");
    expect(server.requests.length).toBeLessThanOrEqual(21);
    expect(watched.errors).toMatchObject([{ kind: "network", retryable: true }]);
  });

  test.each([{}, { location: "" }, { location: "http://[" }])("with the headers %j there is no way on", async (headers) => {
    const server = await serve({ status: 302, headers });
    const watched = connect({ url: server.url, maxRetries: 0 });
    await watched.until("error");
    expect(watched.errors).toHaveLength(1);
    await server.barrier();
    expect(server.open).toBe(0);
  });
});

describe("refusals", () => {
  test.each([400, 402, 404, 405, 410, 422])("%d is fatal", async (status) => {
    const server = await serve(refused(status));
    const watched = connect({ url: server.url });
    await watched.until("error");
    expect(watched.errors).toMatchObject([{ kind: "http", status, retryable: false }]);
    expect(watched.states).toEqual(["connecting", "error"]);
    watched.clock.advance(600_000);
    await server.barrier();
    expect(server.requests).toHaveLength(1);
  });

  test("connect after a fatal one tries anew", async () => {
    const server = await serve(refused(404), stream("data:a\n\n"));
    const watched = connect({ url: server.url });
    await watched.until("error");
    watched.client.connect();
    await watched.receive(1);
    expect(watched.client.status).toMatchObject({ state: "open", error: null, failures: 0 });
  });

  test.each([408, 425, 429, 500, 502, 503, 504])("%d is tried again", async (status) => {
    const server = await serve(refused(status), stream("data:a\n\n"));
    const watched = connect({ url: server.url });
    await watched.again();
    await watched.receive(1);
    expect(watched.errors).toMatchObject([{ kind: "http", status, retryable: true }]);
    expect(watched.states).toEqual(["connecting", "reconnecting", "open", "open"]);
  });

  test("carries the hub's own words", async () => {
    const problem = JSON.stringify({ status: 503, title: "Busy", detail: "no place left", code: "TOO_MANY_CONNECTIONS" });
    const server = await serve({ status: 503, headers: { "content-type": "application/problem+json" }, body: [problem] });
    const watched = connect({ url: server.url });
    await watched.until("reconnecting");
    expect(watched.errors).toMatchObject([{ code: "TOO_MANY_CONNECTIONS", status: 503 }]);
    expect(watched.errors[0]?.message).toContain("no place left");
  });

  test("an endless error body is not read to its end", async () => {
    const server = await serve({
      status: 503,
      headers: { "content-type": "application/json" },
      body: Array.from({ length: 64 }, () => "x".repeat(16_384)),
      then: "hang",
    });
    const watched = connect({ url: server.url });
    await watched.until("reconnecting");
    await expect.poll(() => server.open).toBe(0);
    expect(watched.errors).toMatchObject([{ kind: "http", status: 503 }]);
  });
});

describe("Retry-After", () => {
  test("in seconds is waited out, whoever looks in meanwhile", async () => {
    const server = await serve(refused(503, { "retry-after": "7" }), stream("data:a\n\n"));
    const watched = connect({ url: server.url });
    await watched.until("reconnecting");
    watched.page.online();
    watched.page.show();
    expect(watched.clock.next).toBe(7_000);
    watched.clock.advance(6_999);
    await server.barrier();
    expect(server.requests).toHaveLength(1);
    watched.clock.advance(1);
    await watched.receive(1);
  });

  test("as a date is waited out", async () => {
    const server = await serveWith((_, number) =>
      number ? stream("data:a\n\n") : refused(429, { "retry-after": new Date(watched.clock.now() + 20_000).toUTCString() }),
    );
    const watched = connect({ url: server.url });
    await watched.until("reconnecting");
    expect(watched.clock.next).toBeGreaterThan(18_000);
    expect(watched.clock.next).toBeLessThanOrEqual(20_000);
    watched.clock.advance(20_000);
    await watched.receive(1);
  });
});

describe("time limits", () => {
  test("no head: the attempt ends, its socket too, and another follows", async () => {
    const server = await serve(mute, stream("data:a\n\n"));
    const watched = connect({ url: server.url, connectTimeout: 3_000 });
    await expect.poll(() => server.open).toBe(1);
    watched.clock.advance(3_000);
    expect(watched.errors).toMatchObject([{ kind: "timeout", retryable: true }]);
    await expect.poll(() => server.open).toBe(0);
    await watched.again();
    await watched.receive(1);
  });

  test("a token that never comes: the attempt ends", async () => {
    const server = await serve(stream());
    const watched = connect({ url: server.url, token: () => new Promise(() => {}), maxRetries: 0 });
    await expect.poll(() => watched.clock.pending).toBe(1);
    watched.clock.advance(10_000);
    expect(watched.client.state).toBe("error");
    expect(watched.errors).toMatchObject([{ kind: "exhausted", cause: { kind: "timeout" } }]);
    await server.barrier();
    expect(server.requests).toHaveLength(0);
  });

  test("a stream that falls silent is left, and every byte begins the silence anew", async () => {
    const server = await serve(stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(1);
    for (let beat = 2; beat <= 5; beat++) {
      watched.clock.advance(40_000);
      server.send(`data:${beat}\n\n`);
      await watched.receive(beat);
    }
    expect(watched.states).toEqual(["connecting", "open"]);
    watched.clock.advance(44_000);
    expect(watched.client.state).toBe("open");
    watched.clock.advance(1_000);
    expect(watched.errors).toMatchObject([{ kind: "timeout" }]);
    await expect.poll(() => server.open).toBe(0);
  });

  test.each([
    ["1", 15_000],
    ["60", 180_000],
    ["nonsense", 45_000],
  ])("a Heartbeat-Interval of %s allows a silence of %d ms", async (interval, silence) => {
    const server = await serve({ ...stream("data:1\n\n"), headers: { "content-type": "text/event-stream", "heartbeat-interval": interval } });
    const watched = connect({ url: server.url });
    await watched.receive(1);
    watched.clock.advance(silence - 1);
    expect(watched.client.state).toBe("open");
    watched.clock.advance(1);
    expect(watched.client.state).toBe("reconnecting");
  });

  test("with a readTimeout of Infinity a month of silence is nothing", async () => {
    const server = await serve(stream("data:1\n\n"));
    const watched = connect({ url: server.url, readTimeout: Infinity });
    await watched.receive(1);
    watched.clock.advance(30 * 24 * 3_600_000);
    expect(watched.client.state).toBe("open");
    expect(Math.max(...watched.clock.delays)).toBeLessThan(2 ** 31);
  });

  test("a machine that slept notices soon after it woke", async () => {
    const server = await serve(stream("data:1\n\n"), stream("data:2\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(1);
    watched.clock.sleep(8 * 3_600_000);
    await watched.again();
    await watched.receive(2);
  });
});
