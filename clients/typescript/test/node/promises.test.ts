// Long because each row of the list of promises has its input here, and they are read beside that list.
import { inspect } from "node:util";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SSEClient } from "../../src/client.ts";
import { EventSource } from "../../src/eventsource.ts";
import { SSEError } from "../../src/errors.ts";
import { ledger } from "../../src/ledger.ts";
import { stream as request } from "../../src/stream.ts";
import { createMemoryHub } from "../../src/testing/index.ts";
import type { SSEClientOptions } from "../../src/types.ts";
import { broken, ended, mute, poll, refused, stream } from "../kit/answers.ts";
import type { Answer, Request } from "../kit/scripted.ts";
import { serve, serveWith } from "../kit/servers.ts";
import { connect, watch, type Watched } from "../kit/watch.ts";

// What must hold under bad luck. The numbers are those of the list of such promises; those of React stand beside its tests.

const EPOCH = "0123456789ab";
const HUB = { "content-type": "text/event-stream", "heartbeat-interval": "15" };
const next = (number: number): string => `${EPOCH}-${number}`;
const event = (number: number): object => ({ id: next(number), type: "message", data: String(number) });
/** Breaks off so that HTTP can tell: an answer in chunks, without the last one. */
const cut = (...body: string[]): Answer => ({
  ...broken(...body),
  // Node.js 20 takes a break for an end where the connection is to be closed.
  headers: { "content-type": "text/event-stream", connection: "keep-alive" },
});
const page: Answer = { headers: { "content-type": "text/html" }, body: ["<html>hello"] };

/** A hub whose streams and long-polls are answered apart, each in turn, the last for ever. */
async function hub(streams: Answer[], polls: Answer[]): Promise<{ url: string; streams: Request[]; polls: Request[]; barrier(): Promise<unknown> }> {
  const seen = { streams: [] as Request[], polls: [] as Request[] };
  const server = await serveWith(({ headers }, number) => {
    void number;
    const isPoll = headers["accept"] === "application/json";
    const [list, answers] = isPoll ? [seen.polls, polls] : [seen.streams, streams];
    return answers[Math.min(list.push({ headers } as Request) - 1, answers.length - 1)] ?? mute;
  });
  return { url: server.url.replace("/stream", ""), ...seen, barrier: () => server.barrier() };
}

const session = (baseUrl: string, options: SSEClientOptions = {}): Watched => connect({ baseUrl, sessionId: "s", ...options });

/** Lets time pass, in steps, until something is so. Real time passes, too: the servers' answers take some. */
async function pass(watched: Watched, step: number, until: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!until()) {
    if (performance.now() > end) throw new Error("it does not come about");
    watched.clock.advance(step);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A client whose fetch answers as `answer` says. */
function answered(answer: (url: string, init: RequestInit) => unknown, options: SSEClientOptions = {}): Watched {
  const send = (async (url: string, init: RequestInit) => answer(url, init)) as unknown as typeof fetch;
  return connect({ url: "https://server.invalid/stream", fetch: send, ...options });
}

describe("row 1: long-polls are never given up for good", () => {
  test.each([
    ["404", refused(404)],
    ["an HTML page", page],
  ])("one that gets %s among others that work is followed by others", async (_, odd) => {
    const { url, polls } = await hub([mute], [poll({ events: [], next: next(1) }), odd, poll({ events: [event(2)], next: next(2) }), mute]);
    const watched = session(url, { pollingInterval: 100 });
    await pass(watched, 500, () => watched.events.length > 0);
    expect(watched.texts).toEqual(["2"]);
    expect(polls.length).toBeGreaterThanOrEqual(3);
  });

  test.each([
    ["404", refused(404)],
    ["an HTML page", page],
  ])("the very first one that gets %s is followed by another after a while", async (_, odd) => {
    const { url, polls } = await hub([mute], [odd, odd, poll({ events: [event(2)], next: next(2) }), mute]);
    const watched = session(url, { replay: "all" });
    await pass(watched, 500, () => watched.events.length > 0);
    expect(polls.length).toBeGreaterThanOrEqual(3);
  });

  test("connect begins anew: what was learnt before is forgotten", async () => {
    const { url, polls, streams } = await hub([refused(502)], [refused(404)]);
    const watched = session(url);
    for (let turn = 0; turn < 6; turn++) await watched.again();
    expect(polls).toHaveLength(1);
    watched.client.disconnect();
    watched.client.connect();
    const before = streams.length;
    await pass(watched, 100, () => polls.length > 1);
    expect(streams.length - before).toBeLessThanOrEqual(3);
  });
});

describe("row 4: first bytes and then nothing are no stream", () => {
  const first: Answer = { headers: HUB, body: [":\n\n"], then: "hang" };

  test("it falls back to long-polls", async () => {
    const { url, polls } = await hub([first], [poll({ events: [event(1)], next: next(1) }), mute]);
    const watched = session(url, { replay: "all" });
    await pass(watched, 1_000, () => watched.events.length > 0);
    expect(polls.length).toBeGreaterThan(0);
    expect(watched.errors.filter(({ kind }) => kind === "timeout").length).toBeGreaterThanOrEqual(3);
  });

  test("it is exhausted in the end", async () => {
    const server = await serve(first);
    const watched = connect({ url: server.url, maxRetries: 3 });
    await pass(watched, 5_000, () => watched.client.state === "error");
    expect(watched.client.status.error).toMatchObject({ kind: "exhausted", cause: { kind: "timeout" } });
  });
});

test("row 5: behind a buffering proxy the state says what delivers", async () => {
  const { url, streams, polls } = await hub([mute], [poll({ events: [], next: next(1) }), mute]);
  const watched = session(url);
  await pass(watched, 1_000, () => watched.client.state === "polling");
  await expect.poll(() => watched.clock.pending).toBe(1);
  watched.clock.advance(500);
  await expect.poll(() => polls.length).toBe(2);
  // A long-poll that is never answered, and then a stream is tried.
  expect(watched.client.state).toBe("polling");
  const { url: other, ...seen } = await hub([mute], [poll({ events: [], next: next(1) })]);
  const second = session(other, { pollingInterval: 100 });
  await pass(second, 100, () => second.client.state === "polling");
  const before = seen.streams.length;
  await pass(second, 100, () => seen.streams.length > before);
  // While the stream is tried, nothing is delivered.
  expect(second.client.state).toBe("reconnecting");
  const polled = seen.polls.length;
  await pass(second, 100, () => seen.polls.length > polled);
  // It failed, and long-polls work: from the moment on when one is under way.
  expect(second.client.state).toBe("polling");
  expect(second.client.status.error).toBeNull();
  expect(streams.length).toBeGreaterThanOrEqual(3);
});

describe("row 6: an answer that ends", () => {
  test("of a POST with a body is the end: closed, and asked for once", async () => {
    const server = await serve(ended("data:a\n\ndata:b\n\n"));
    const watched = connect({ url: server.url, method: "POST", body: "question" });
    await watched.until("closed");
    expect(watched.texts).toEqual(["a", "b"]);
    expect(watched.client.status).toEqual({ state: "closed", failures: 0, error: null, reason: "ended" });
    watched.clock.advance(600_000);
    await server.barrier();
    expect(server.requests).toHaveLength(1);
    expect(watched.errors).toEqual([]);
  });

  test("ends a loop over its events", async () => {
    const server = await serve(ended("data:a\n\n"));
    const { client } = watch({ url: server.url, method: "POST", body: "question" });
    const texts: string[] = [];
    for await (const { text } of client) texts.push(text);
    expect(texts).toEqual(["a"]);
  });

  test.each<[string, SSEClientOptions, Answer, boolean]>([
    ["a GET", {}, ended("data:a\n\n"), true],
    ["a GET with onEnd: stop", { onEnd: "stop" }, ended("data:a\n\n"), false],
    ["a POST with onEnd: reconnect", { method: "POST", onEnd: "reconnect" }, ended("data:a\n\n"), true],
    ["a POST that breaks off", { method: "POST" }, cut("data:a\n\n"), true],
    ["a POST to a hub", { method: "POST" }, { ...ended("data:a\n\n"), headers: HUB }, true],
  ])("%s: is asked for again %#", async (_, options, answer, again) => {
    const server = await serve(answer);
    const watched = connect({ url: server.url, ...options });
    await watched.until(again ? "reconnecting" : "closed");
  });

  test("stream() is one request, and its loop ends with it", async () => {
    const server = await serve(ended("data:a\n\ndata:b\n\n"));
    const texts: string[] = [];
    for await (const { text } of request(server.url, { method: "POST", body: "q", headers: { "x-a": "1" } })) texts.push(text);
    expect(texts).toEqual(["a", "b"]);
    expect(server.requests).toMatchObject([{ method: "POST", body: "q", headers: { "x-a": "1" } }]);
    expect(ledger.clients).toBe(0);
  });

  test("leaving the loop of stream() aborts the request", async () => {
    const server = await serve(stream("data:a\n\ndata:b\n\n"));
    for await (const { text } of request(server.url)) {
      expect(text).toBe("a");
      break;
    }
    expect(ledger).toEqual({ clients: 0, attempts: 0, timers: 0, listeners: 0, handlers: 0 });
    await expect.poll(() => server.open).toBe(0);
  });

  test("a refusal or a break is thrown by the loop of stream(), and nothing is asked again", async () => {
    const server = await serve(refused(500), cut("data:a\n\n"));
    const read = async (): Promise<void> => {
      for await (const _ of request(server.url)) void _;
    };
    await expect(read()).rejects.toMatchObject({ kind: "http", status: 500 });
    await expect(read()).rejects.toMatchObject({ kind: "network" });
    expect(server.requests).toHaveLength(2);
  });
});

/** A session that long-polls, whose fourth and fifth one come no sooner than those that bring nothing. */
async function unhurried(url: string, polls: Request[]): Promise<Watched> {
  const watched = session(url, { replay: "all", pollingInterval: 700, maxRetryDelay: 100 });
  await pass(watched, 100, () => polls.length === 1);
  // A stream is tried at once, and refused; then long-polls for good.
  await pass(watched, 50, () => polls.length === 3);
  const before = watched.clock.now();
  await pass(watched, 50, () => polls.length === 5);
  expect(watched.clock.now() - before).toBeGreaterThanOrEqual(1_300);
  return watched;
}

test("row 7: a server that answers every long-poll with the same events is asked no sooner than one with none", async () => {
  const { url, polls } = await hub([refused(502)], [poll({ events: [event(1), event(2)], next: next(2) })]);
  const watched = await unhurried(url, polls);
  expect(watched.texts).toEqual(["1", "2"]);
});

test.each<[string, object, number[]]>([
  ["epoch", { from: "other0epoch0-9", to: next(3), missed: null }, [4, 5]],
  ["evicted", { from: next(1), to: next(3), missed: 3 }, [4, 5]],
  ["source", { from: next(3), to: next(3), missed: null }, [4, 5]],
  ["source", { from: next(3), to: next(3), missed: 2 }, []],
])("row 7: nor is one whose answer begins with a gap (%s), which is told once, as are the events behind it", async (reason, gap, behind) => {
  const answer = { gap: { ...gap, reason }, events: behind.map(event), next: next(behind.at(-1) ?? 3) };
  const { url, polls } = await hub([refused(502)], [poll(answer)]);
  const watched = await unhurried(url, polls);
  expect(watched.events.map(({ type, text }) => (type === "gap" ? reason : text))).toEqual([reason, ...behind.map(String)]);
});

test("row 7: a gap that was not told is told, also where its position is known already, and nothing behind it is doubled", async () => {
  const gap = (to: number): object => ({ from: next(to), to: next(to), missed: null, reason: "source" });
  const polls = [
    poll({ events: [event(1)], next: next(3) }),
    poll({ gap: gap(3), events: [], next: next(3) }),
    poll({ gap: gap(2), events: [event(4)], next: next(4) }),
    poll({ gap: gap(2), events: [event(4), event(5)], next: next(5) }),
  ];
  const { url } = await hub([refused(502)], polls);
  const watched = session(url, { replay: "all", maxRetryDelay: 100 });
  await pass(watched, 100, () => watched.texts.includes("5"));
  expect(watched.events.map(({ type, data }) => (type === "gap" ? (data as { to: string }).to : data))).toEqual([1, next(3), next(2), 4, 5]);
});

test("row 7: an id that was never given out is told by a gap that leads back, and what follows comes", async () => {
  const gap = { from: next(99), to: next(3), missed: null, reason: "unknown_id" };
  const { url } = await hub([refused(502)], [poll({ gap, events: [event(4)], next: next(4) })]);
  const watched = session(url, { lastEventId: next(99), maxRetryDelay: 100 });
  await pass(watched, 100, () => watched.events.length > 1);
  expect(watched.events.map(({ type, id }) => [type, id])).toEqual([["gap", next(3)], ["message", next(4)]]);
});

describe("row 9: new credentials", () => {
  test.each(["url", "body", "headers", "token"] as const)("a function for %s is asked once with refresh after a 401", async (name) => {
    const server = await serve(refused(401), stream("data:a\n\n"));
    const asked: boolean[] = [];
    const value = { url: server.url, body: "b", headers: {}, token: "t" }[name];
    const option = { [name]: ({ refresh }: { refresh: boolean }) => (asked.push(refresh), value) };
    const watched = connect({ url: server.url, method: "POST", ...option });
    await watched.receive(1);
    expect(asked).toEqual([false, true]);
  });

  test("and refused again it is the end", async () => {
    const server = await serve(refused(401));
    const watched = connect({ url: () => server.url });
    await watched.until("error");
    expect(server.requests).toHaveLength(2);
  });
});

test("row 10: a wall clock that is set back makes nothing later", async () => {
  const server = await serve(refused(503), broken("data:1\n\n"), stream("data:2\n\n"));
  const watched = connect({ url: server.url, random: () => 1 });
  await watched.until("reconnecting");
  watched.clock.setWall(-3_600_000);
  watched.page.online();
  expect(watched.clock.next).toBeLessThanOrEqual(1_000);
  watched.clock.advance(1_000);
  await watched.receive(1);
  await watched.until("reconnecting");
  watched.clock.setWall(-3_600_000);
  watched.clock.advance(1_000);
  await watched.receive(2);
  // And a silence is still found out.
  watched.clock.setWall(-3_600_000);
  watched.clock.advance(61_000);
  expect(watched.client.state).toBe("reconnecting");
});

test("row 11: an error without Retry-After has none", async () => {
  const server = await serve(refused(503));
  const watched = connect({ url: server.url });
  await watched.until("reconnecting");
  expect(watched.errors[0]?.retryAfter).toBeUndefined();
});

describe("row 12: nothing is lost quietly", () => {
  test.each([1, 2, 3, 50])("an event over maxEventBytes ends the client, in %d chunks", async (chunks) => {
    const wire = `id:1\ndata:${"x".repeat(90)}\n\nid:2\ndata:${"x".repeat(100)}\n\n`;
    const size = Math.ceil(wire.length / chunks);
    const pieces = Array.from({ length: chunks }, (_, n) => wire.slice(n * size, (n + 1) * size));
    const server = await serve(stream(...pieces));
    const watched = connect({ url: server.url, maxEventBytes: 100 });
    await watched.until("error");
    expect([watched.ids, watched.errors[0]?.kind]).toEqual([["1"], "limit"]);
  });

  test.each([100, 1_000])("an event over maxEventBytes (%d) ends the client over long-polls as well, after those before it", async (maxEventBytes) => {
    // Bytes count, not characters: these have two each.
    const sized = (number: number, bytes: number): object => ({
      id: next(number),
      type: "é",
      data: "é".repeat((bytes - next(number).length - 2) / 2),
    });
    const answer = { events: [event(1), sized(2, maxEventBytes), sized(3, maxEventBytes + 2), event(4)], next: next(4) };
    const { url } = await hub([refused(502)], [poll(answer)]);
    const watched = session(url, { replay: "all", maxRetryDelay: 100, maxEventBytes });
    await pass(watched, 100, () => watched.client.state === "error");
    expect(watched.client.status.error).toMatchObject({ kind: "limit" });
    expect(watched.events.map(({ id }) => id)).toEqual([next(1), next(2)]);
    expect(watched.client.lastEventId).toBe(next(2));
  });

  test("an id that no request can carry is told, and the next attempt resumes from the one before", async () => {
    const long = "x".repeat(1_025);
    const server = await serve(broken(`id:1\ndata:a\n\nid:${long}\ndata:b\n\nid:${long}\ndata:c\n\n`), stream("data:d\n\n"));
    const watched = connect({ url: server.url });
    await watched.again();
    await watched.receive(4);
    expect(watched.errors.map(({ kind }) => kind)).toEqual(["limit", "network"]);
    expect(server.requests[1]?.headers).toMatchObject({ "last-event-id": "1" });
    expect(watched.client.lastEventId).toBe(long);
  });

  test("a gap that nobody listens to is told", async () => {
    const server = await serve(stream('event:gap\ndata:{"missed":3,"reason":"evicted"}\n\ndata:1\n\n'));
    const told: SSEError[] = [];
    const client = new SSEClient({ url: server.url, onError: (error) => told.push(error) });
    const got = vi.fn();
    client.on("message", got);
    client.connect();
    await expect.poll(() => got.mock.calls.length).toBe(1);
    expect(told).toMatchObject([{ kind: "gap" }]);
    expect(told[0]?.message).toContain("evicted");
    client.destroy();
  });

  test("a gap that somebody listens to is not", async () => {
    const server = await serve(stream('event:gap\ndata:{"missed":3}\n\ndata:1\n\n'));
    const watched = connect({ url: server.url });
    await watched.receive(2);
    expect(watched.errors).toEqual([]);
  });
});

test("row 13: the codes of a server that is no hub mean nothing to the client", async () => {
  const server = await serve({
    ...ended('event:error\ndata:{"error":"x","code":"SHUTTING_DOWN"}\n\n', `data:${"x".repeat(2_000)}\n\n`),
  });
  const watched = connect({ url: server.url, maxEventBytes: 1_000 });
  await watched.until("error");
  expect(watched.events.map(({ type }) => type)).toEqual(["error"]);
  expect(watched.client.status.error).toMatchObject({ kind: "limit" });
  watched.clock.advance(600_000);
  await server.barrier();
  expect(server.requests).toHaveLength(1);
});

test("row 13: nor does a hub's code mend what no attempt can mend", async () => {
  const server = await serve({
    ...ended('event:error\ndata:{"error":"x","code":"SHUTTING_DOWN"}\n\n', `data:${"x".repeat(2_000)}\n\n`),
    headers: HUB,
  });
  const watched = connect({ url: server.url, maxEventBytes: 1_000 });
  await watched.until("error");
  expect(watched.client.status.error).toMatchObject({ kind: "limit" });
});

describe("row 14: other worlds", () => {
  test("a fetch without body streams (React Native): long-polls by text()", async () => {
    const answers = [{ events: [event(1)], next: next(1) }, { events: [event(2)], next: next(2) }];
    const watched = answered(
      (_, { headers, signal }) => {
        const answer = (headers as Record<string, string>)["accept"] === "application/json" && answers.shift();
        // There a stream has no head before its end.
        if (!answer) return new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
        const json = { "content-type": "application/json" };
        return { status: 200, headers: new Headers(json), text: async () => JSON.stringify(answer) };
      },
      { url: undefined, baseUrl: "https://hub.invalid", sessionId: "s", replay: "all" },
    );
    await pass(watched, 1_000, () => watched.events.length === 2);
    expect(watched.texts).toEqual(["1", "2"]);
  });

  test("a worker whose fetch throws on `cache`", async () => {
    const server = await serve(stream("data:1\n\n"));
    const send: typeof fetch = (url, init) => {
      if (init && "cache" in init) throw new Error("The 'cache' field on 'RequestInitializerDict' is not implemented.");
      return fetch(url, init);
    };
    const watched = connect({ url: server.url, fetch: send });
    await watched.receive(1);
    expect(watched.errors).toEqual([]);
  });

  test.each<[string, SSEClientOptions, RegExp]>([
    ["no baseUrl in Node.js", { url: undefined, sessionId: "s" }, /baseUrl/],
    ["a relative url in Node.js", { url: "/events" }, /absolute/],
    ["a header that no request can carry", { url: "http://server.invalid/", headers: { "x-mine": "sec\nret" } }, /"x-mine"/],
    ["a header's name that is none", { url: "http://server.invalid/", headers: { "x mine": "1" } }, /"x mine"/],
    ["a token that no header can carry", { url: "http://server.invalid/", token: "sec\nret" }, /"authorization"/],
  ])("%s: one final error that says what is missing", async (_, options, words) => {
    const watched = connect(options);
    await watched.until("error");
    expect(watched.errors).toHaveLength(1);
    expect(watched.errors[0]).toMatchObject({ kind: "protocol", retryable: false });
    expect(watched.errors[0]?.message).toMatch(words);
    expect(inspect(watched.errors[0], { depth: 9 })).not.toMatch(/sec\s|ret\b/);
    expect(watched.clock.pending).toBe(0);
  });
});

test("a fragment of the address hides no parameter", async () => {
  const asked: string[] = [];
  const hub = createMemoryHub();
  const fetch: typeof globalThis.fetch = (url, init) => (asked.push(`${url}`), hub.fetch(url, init));
  const watched = connect({ url: "https://server.invalid/sessions/s/events?a=1#here", replay: 5, fetch });
  await watched.until("open");
  expect(asked).toEqual(["https://server.invalid/sessions/s/events?a=1&replay=5"]);
});

describe("row 15: nothing shows the token", () => {
  const secrets = { token: "hush-hush-token", headers: { "x-api-key": "hush-hush-key" }, body: "hush-hush-body" };

  test("neither what is printed of a client, nor its JSON", async () => {
    const server = await serve(stream("data:1\n\n"));
    const watched = connect({ url: server.url, method: "POST", ...secrets });
    await watched.receive(1);
    const shown = inspect(watched.client, { depth: Infinity, showHidden: true }) + JSON.stringify(watched.client);
    expect(shown).not.toContain("hush-hush");
    expect(watched.client.options.token).toBe(secrets.token);
  });

  test("nor what a transport throws that quotes the request", async () => {
    const watched = answered((url, init) => {
      const cause = Object.assign(new Error(`socket of ${secrets.token}`), { code: "ECONNRESET", request: { url, init } });
      throw Object.assign(new TypeError(`failed: ${JSON.stringify(init.headers)} ${url}`, { cause }), { config: init });
    }, { ...secrets, url: "https://server.invalid/stream?access=hush-hush-query", maxRetries: 0 });
    await watched.until("error");
    const { error } = watched.client.status;
    expect(inspect(error, { depth: Infinity, showHidden: true }) + JSON.stringify(error)).not.toContain("hush-hush");
    expect(error?.message).toBe("gave up: no connection: TypeError, ECONNRESET");
  });

  test.each<[string, string, (url: string, body: string) => unknown]>([
    ["one parameter, decoded", "https://server.invalid/s?a=1&access_token=hush%20hush-token", (url) => new URL(url).searchParams.get("access_token")],
    ["one parameter, as it stands there", "https://server.invalid/s?access_token=hush%20hush", (url) => url.split("access_token=")[1]],
    ["the address as a URL has it", "https://server.invalid/s?access_token=hush hush", (url) => new URL(url).href],
    ["credentials", "https://hush-user:hush-hush@server.invalid/s", (url) => new URL(url).href],
    ["a fragment", "https://server.invalid/s#hush-hush", () => "https://server.invalid/s#hush-hush"],
    ["the body within JSON", "https://server.invalid/s", (_, body) => JSON.stringify({ body })],
    ["a token in another spelling", "https://server.invalid/s", () => `hush-hush, that is ${btoa("hush-hush")}`],
    ["a short secret", "https://server.invalid/s?pin=hush", () => "hush"],
  ])("nor one that quotes %s", async (_, url, quote) => {
    const watched = answered((url, { body }) => {
      throw new TypeError(`cannot fetch ${quote(`${url}`, `${body}`)} from server.invalid`);
    }, { url, method: "POST", body: '{"question":"hush \\n hush"}', maxRetries: 0 });
    await watched.until("error");
    const shown = inspect(watched.client.status.error, { depth: Infinity, showHidden: true });
    expect(shown).not.toMatch(/hush/);
    expect(shown).toContain("no connection: TypeError");
  });

  test("a wrapper's own words are shown where it throws the client's own error", async () => {
    const watched = answered(() => {
      throw new SSEError("protocol", "no such tenant");
    }, { maxRetries: 0 });
    await watched.until("error");
    expect(watched.errors).toMatchObject([{ kind: "protocol", message: "no such tenant" }]);
  });

  test("nor what the platform says of an address with credentials", async () => {
    const watched = connect({ url: "http://hush-user:hush-hush@127.0.0.1:1/s", maxRetries: 0 });
    await watched.until("error");
    expect(inspect(watched.client.status.error, { depth: Infinity })).not.toMatch(/hush/);
  });
});

describe("row 18: wrappers of fetch", () => {
  const withToken: typeof fetch = (url, init) =>
    fetch(url, { ...init, headers: { ...(init?.headers as Record<string, string>), Authorization: "mine" } });

  test("the usual one, which spreads the headers, loses none of them", async () => {
    const server = await serve(broken("id:1\ndata:a\n\n"), stream("data:b\n\n"));
    const watched = connect({ url: server.url, fetch: withToken, headers: new Headers({ "x-a": "1" }) });
    await watched.again();
    await watched.receive(2);
    for (const { headers } of server.requests) {
      expect(headers).toMatchObject({ accept: "text/event-stream", authorization: "mine", "x-a": "1" });
    }
    expect(server.requests[1]?.headers).toMatchObject({ "last-event-id": "1" });
  });

  test("one that clones the response and reads the clone leaves the stream to the client, and nothing open", async () => {
    const server = await serve(stream("data:a\n\n"));
    const read: string[] = [];
    const watched = connect({
      url: server.url,
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        void response.clone().text().then((text) => read.push(text), () => {});
        return response;
      },
    });
    await watched.receive(1);
    watched.client.destroy();
    await expect.poll(() => server.open).toBe(0);
  });

  test("an Accept of the application's own is sent with streams", async () => {
    const server = await serve(stream("data:a\n\n"));
    const watched = connect({ url: server.url, headers: { Accept: "text/event-stream, */*;q=0.1" } });
    await watched.receive(1);
    expect(server.requests[0]?.headers["accept"]).toBe("text/event-stream, */*;q=0.1");
  });
});

describe("row 19: a body that is no web stream (node-fetch)", () => {
  const orphans: unknown[] = [];
  const orphan = (reason: unknown): number => orphans.push(reason);
  beforeEach(() => void process.on("unhandledRejection", orphan));
  afterEach(() => {
    process.off("unhandledRejection", orphan);
    expect(orphans.splice(0)).toEqual([]);
  });

  test.each([200, 204, 401, 500])("with %d is one final error that names the cause", async (status) => {
    const body = Readable.from(["data:1\n\n"]);
    const watched = answered(() => ({ status, headers: new Headers({ "content-type": "text/event-stream" }), body }));
    await watched.until("error");
    expect(watched.errors).toMatchObject([{ kind: "protocol", retryable: false }]);
    expect(watched.errors[0]?.message).toContain("node-fetch");
    expect(body.destroyed).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
});

describe("row 20: EventSource", () => {
  test("after a redirect to another origin, events come from that one", async () => {
    const target = await serve(stream("data:a\n\n"));
    const first = await serve({ status: 307, headers: { location: target.url } });
    const source = new EventSource(first.url);
    const origins: string[] = [];
    source.onmessage = ({ origin }) => origins.push(origin);
    await expect.poll(() => origins).toEqual([new URL(target.url).origin]);
    expect(new URL(first.url).origin).not.toBe(origins[0]);
    source.close();
  });

  test.each([123, "http://[", "/relative"])("%j is no URL here: a DOMException", (url) => {
    let thrown: unknown;
    try {
      new EventSource(url as string);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(DOMException);
    expect((thrown as DOMException).name).toBe("SyntaxError");
  });

  test("an error event has code and message beside the error", async () => {
    const server = await serve(refused(404));
    const source = new EventSource(server.url);
    const seen: unknown[] = [];
    source.onerror = (event) => {
      const { code, message, error } = event as Event & { code: number; message: string; error: SSEError };
      seen.push([code, message, error.kind]);
    };
    await expect.poll(() => seen).toEqual([[404, expect.stringContaining("404"), "http"]]);
  });
});

test("row 21: 1.1 MB without a line feed in a field that nobody knows is passed over", async () => {
  const server = await serve(stream("data:a\n\nx-unknown: ", ..."x".repeat(11).split("").map((x) => x.repeat(100_000)), "\ndata:b\n\n"));
  const watched = connect({ url: server.url });
  await watched.receive(2);
  expect([watched.texts, watched.errors]).toEqual([["a", "b"], []]);
});

describe("row 22", () => {
  test("failures are 0 again once something came", async () => {
    const server = await serve(broken(), stream("data:1\n\ndata:2\n\n"));
    const watched = connect({ url: server.url });
    await watched.again();
    await watched.receive(2);
    expect(watched.client.status).toEqual({ state: "open", failures: 0, error: null, reason: null });
  });

  test("the reason of each end is told, and it is no error", async () => {
    const server = await serve(refused(204));
    const watched = connect({ url: server.url });
    await watched.until("closed");
    expect(watched.client.status).toMatchObject({ reason: "no-content", error: null });
    watched.client.connect();
    watched.client.disconnect();
    expect(watched.client.status).toMatchObject({ state: "closed", reason: "disconnected" });
    expect(watched.errors).toEqual([]);
  });
});

describe("row 23", () => {
  test("back from the back-forward cache, a Retry-After is still waited out", async () => {
    const server = await serve(refused(503, { "retry-after": "7" }), stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    await watched.until("reconnecting");
    watched.page.leave();
    watched.clock.advance(2_000);
    watched.page.comeBack();
    expect(watched.clock.next).toBe(5_000);
    watched.clock.advance(4_999);
    await server.barrier();
    expect(server.requests).toHaveLength(1);
    watched.clock.advance(1);
    await watched.receive(1);
  });

  test("reconnect() at every failure is no storm", async () => {
    const server = await serve(refused(503));
    const watched = watch({ url: server.url, onError: () => watched.client.reconnect() });
    watched.client.connect();
    const began = watched.clock.now();
    await pass(watched, 100, () => server.requests.length >= 6);
    expect(watched.clock.now() - began).toBeGreaterThanOrEqual(4_000);
  });

  test("reconnect() called over and over puts nothing off", async () => {
    const server = await serve(refused(503), refused(503), stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    await watched.until("reconnecting");
    for (let turn = 0; turn < 60 && watched.client.state !== "open"; turn++) {
      watched.client.reconnect();
      watched.clock.advance(50);
      await server.barrier();
    }
    await watched.until("open");
    expect(server.requests).toHaveLength(3);
  });

  test("reconnect() by a person is at once", async () => {
    const server = await serve(stream("data:1\n\n"));
    const watched = connect({ url: server.url });
    for (let turn = 1; turn <= 3; turn++) {
      await watched.receive(turn);
      watched.client.reconnect();
    }
    await watched.receive(4);
    expect(watched.clock.now()).toBe(1_700_000_000_000);
  });

  test.each([
    ["a hub", HUB],
    ["any server", { "content-type": "text/event-stream" }],
  ])("a comment in the first bytes of %s reaches onComment, once the stream is open", async (_, headers) => {
    const server = await serve({ headers, body: [": watertight\nretry: 2000\nid: ", `${next(0)}\n\n:\n\n`], then: "hang" });
    const told: string[] = [];
    const watched = connect({ url: server.url, onComment: (text) => told.push(`${watched.client.state}${text}`) });
    await expect.poll(() => told).toEqual(["open watertight", "open"]);
    expect(watched.client.lastEventId).toBe(next(0));
  });

  test("a transport whose body has no cancel is no error", async () => {
    const chunks = [new TextEncoder().encode("data:1\n\n")];
    const read = async (): Promise<object> => {
      const value = chunks.shift();
      return value ? { done: false, value } : new Promise(() => {});
    };
    const headers = new Headers({ "content-type": "text/event-stream" });
    const watched = answered(() => ({ status: 200, headers, body: { getReader: () => ({ read }) } }));
    await watched.receive(1);
    watched.client.destroy();
    expect(ledger.attempts).toBe(0);
  });
});
