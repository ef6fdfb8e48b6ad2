import { expect, test } from "vitest";
import { SSEClient } from "../../src/client.ts";
import { EventSource } from "../../src/eventsource.ts";
import { ledger } from "../../src/ledger.ts";
import { broken, ended, refused, stream } from "../kit/answers.ts";
import { serve } from "../kit/servers.ts";
import { countingSignal } from "../kit/signal.ts";
import { connect, watch } from "../kit/watch.ts";

// Each of these was lost, leaked or stormed by some client. The letters are those of the list of such cases.

test("row a: hidden, then shown, while a retry is pending, is one connection, and none after the end", async () => {
  const server = await serve(broken("data:1\n\n"), stream("data:2\n\n"));
  const { client, page, clock, ...watched } = connect({ url: server.url });
  await expect.poll(() => client.state).toBe("reconnecting");
  for (let turn = 0; turn < 5; turn++) {
    page.hide();
    page.show();
    page.online();
    expect(clock.pending).toBe(1);
  }
  clock.advance(60_000);
  await expect.poll(() => watched.events.length).toBe(2);
  clock.advance(10_000);
  await server.barrier();
  expect(server.open).toBe(1);
  expect(server.requests).toHaveLength(2);
  client.destroy();
  await expect.poll(() => server.open).toBe(0);
  clock.advance(600_000);
  await server.barrier();
  expect(server.requests).toHaveLength(2);
});

test("row b: a signal that is aborted already means no connection at all", async () => {
  const server = await serve(stream("data:1\n\n"));
  const { signal, abort, listeners } = countingSignal();
  abort();
  const client = new SSEClient({ url: server.url, signal });
  client.on("*", () => expect.unreachable());
  expect(() => client.connect()).toThrow();
  expect(client.state).toBe("closed");
  expect(listeners()).toBe(0);
  await server.barrier();
  expect(server.requests).toHaveLength(0);
});

test("row b: a signal that is aborted later ends everything at once, and keeps no listener", async () => {
  const server = await serve(stream("data:1\n\n"));
  const { signal, abort, listeners } = countingSignal();
  const { client, ...watched } = connect({ url: server.url, signal });
  await expect.poll(() => watched.events.length).toBe(1);
  expect(listeners()).toBe(1);
  abort();
  expect(client.state).toBe("closed");
  expect(ledger).toEqual({ clients: 0, attempts: 0, timers: 0, listeners: 0, handlers: 0 });
  expect(listeners()).toBe(0);
});

test("row c: 204 is the end, for ever", async () => {
  const server = await serve(refused(204));
  const { client, clock, states, errors } = connect({ url: server.url });
  await expect.poll(() => client.state).toBe("closed");
  expect(clock.pending).toBe(0);
  clock.advance(600_000);
  await server.barrier();
  expect(server.requests).toHaveLength(1);
  expect(states).toEqual(["connecting", "closed"]);
  expect(errors).toEqual([]);
});

test("row d: a listener that throws loses no event, doubles none and opens no second connection", async () => {
  const server = await serve(stream("id:1\ndata:a\n\nid:2\ndata:b\n\n"));
  const watched = watch({ url: server.url });
  watched.client.on("message", () => {
    throw new Error("mine");
  });
  watched.client.connect();
  await watched.receive(2);
  await server.barrier();
  expect(watched.texts).toEqual(["a", "b"]);
  expect(server.requests).toHaveLength(1);
  expect(watched.errors.map(({ kind, cause }) => [kind, (cause as Error).message])).toEqual([
    ["handler", "mine"],
    ["handler", "mine"],
  ]);
});

test.each([
  ["text/html", "<html>not"],
  ["application/problem+json", '{"detail":'],
])("row e: a 404 whose %s body never ends leaves no socket", async (type, body) => {
  const server = await serve({ status: 404, headers: { "content-type": type }, body: [body], then: "hang" });
  const watched = connect({ url: server.url });
  await expect.poll(() => server.requests.length).toBe(1);
  await expect.poll(() => watched.clock.pending + (watched.client.state === "error" ? 1 : 0)).toBe(1);
  // The words of a problem are waited for, for a second.
  await expect.poll(() => (watched.clock.advance(500), watched.client.state)).toBe("error");
  expect(watched.errors).toMatchObject([{ kind: "http", status: 404 }]);
  await expect.poll(() => server.open).toBe(0);
});

test("row e: nor does an answer of another type, even if the application's fetch takes no heed of signals", async () => {
  const server = await serve({ status: 404, body: ["x"], then: "hang" }, { body: ["x"], then: "hang" });
  for (const kind of ["http", "protocol"]) {
    const watched = connect({ url: server.url, fetch: (url, init) => fetch(url, { ...init, signal: null }) });
    await expect.poll(() => watched.client.state).toBe("error");
    expect(watched.client.status.error).toMatchObject({ kind });
    await expect.poll(() => server.open).toBe(0);
  }
});

test("row g: close in a handler, with three events in a chunk, is the last thing that is heard", async () => {
  const server = await serve(stream("data:1\n\ndata:2\n\ndata:3\n\n"));
  const watched = watch({ url: server.url });
  let calls = 0;
  watched.client.on("message", () => {
    calls++;
    watched.client.close();
    expect(ledger).toEqual({ clients: 0, attempts: 0, timers: 0, listeners: 0, handlers: 0 });
  });
  watched.client.connect();
  await expect.poll(() => calls).toBe(1);
  await expect.poll(() => server.open).toBe(0);
  expect(calls).toBe(1);
  expect(watched.errors).toEqual([]);
});

test("row h: leaving one loop twice takes nothing from anybody else", async () => {
  const server = await serve(stream("data:1\n\n", { wait: "more" }, "data:2\n\n"));
  const watched = watch({ url: server.url });
  const other = watched.client.events();
  const loop = watched.client.events();
  expect((await loop.next()).value).toMatchObject({ text: "1" });
  await loop.return();
  await loop.return();
  await loop.return();
  server.release("more");
  expect([(await other.next()).value?.text, (await other.next()).value?.text]).toEqual(["1", "2"]);
  await watched.receive(2);
  await expect(loop.next()).resolves.toEqual({ done: true, value: undefined });
});

test("row i: disconnect and connect in one tick is connected, once", async () => {
  const server = await serve(stream("data:1\n\n"));
  const watched = connect({ url: server.url });
  watched.client.disconnect();
  watched.client.connect();
  await watched.receive(1);
  await server.barrier();
  expect(watched.client.state).toBe("open");
  expect(server.requests).toHaveLength(1);
  watched.client.disconnect();
  watched.client.connect();
  watched.client.disconnect();
  watched.client.connect();
  await watched.receive(2);
  await server.barrier();
  expect([server.open, server.requests.length]).toEqual([1, 2]);
});

test("row j: HTTP 500 is no connection, and each try is later than the one before", async () => {
  const server = await serve(refused(500));
  const watched = connect({ url: server.url, random: () => 1 });
  const waits: number[] = [];
  for (let turn = 0; turn < 7; turn++) {
    await watched.until("reconnecting");
    await expect.poll(() => server.requests.length).toBe(turn + 1);
    await expect.poll(() => watched.errors.length).toBe(turn + 1);
    waits.push(watched.clock.next);
    watched.clock.advance(watched.clock.next);
  }
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  expect(watched.states).not.toContain("open");
  expect(watched.errors[0]).toMatchObject({ kind: "http", status: 500, retryable: true });
});

test("row k: abort during a back-off wait is the end", async () => {
  const server = await serve(refused(503));
  const { signal, abort } = countingSignal();
  const { client, clock } = connect({ url: server.url, signal });
  await expect.poll(() => client.state).toBe("reconnecting");
  abort();
  expect(clock.pending).toBe(0);
  clock.advance(600_000);
  await server.barrier();
  expect(server.requests).toHaveLength(1);
  expect(client.state).toBe("closed");
});

test("row l: a server that closes after each event is asked again no sooner than the floor allows", async () => {
  const server = await serve(ended("data:1\n\n"));
  const watched = connect({ url: server.url });
  for (let turn = 1; turn <= 10; turn++) {
    await expect.poll(() => watched.errors.length).toBe(turn);
    expect(watched.clock.next).toBeGreaterThanOrEqual(100);
    watched.clock.advance(watched.clock.next);
  }
  expect(watched.events).toHaveLength(10);
});

test("row l: one that closes without any event is waited for longer and longer", async () => {
  const server = await serve(ended(": hello\n\n"));
  const watched = connect({ url: server.url, random: () => 1 });
  const waits: number[] = [];
  for (let turn = 1; turn <= 5; turn++) {
    await expect.poll(() => watched.errors.length).toBe(turn);
    waits.push(watched.clock.next);
    watched.clock.advance(watched.clock.next);
  }
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000]);
});

test("row m: EventSource with nothing but onmessage resumes from the last id", async () => {
  const server = await serve(broken("id:5\ndata:a\n\n"), stream("data:b\n\n"));
  const watched: string[] = [];
  const source = new EventSource(server.url, { retryDelay: 100 });
  source.onmessage = ({ data, lastEventId }) => watched.push(`${lastEventId}:${data}`);
  await expect.poll(() => watched).toEqual(["5:a", "5:b"]);
  expect(server.requests.map(({ headers }) => headers["last-event-id"])).toEqual([undefined, "5"]);
  source.close();
});

test("row n: EventSource calls onmessage once, and a message listener once", async () => {
  const server = await serve(stream("data:a\n\ndata:b\n\n"));
  const calls: string[] = [];
  const source = new EventSource(server.url);
  source.onmessage = ({ data }) => calls.push(`on:${data}`);
  source.addEventListener("message", (event) => calls.push(`listener:${(event as MessageEvent).data}`));
  await expect.poll(() => calls.length).toBeGreaterThanOrEqual(4);
  expect(calls.sort()).toEqual(["listener:a", "listener:b", "on:a", "on:b"]);
  source.close();
});

test("row p: named events come to whoever asks for them by name", async () => {
  const server = await serve(stream("event:update\ndata:1\n\ndata:2\n\n"));
  const watched = watch({ url: server.url });
  const updates: unknown[] = [];
  watched.client.on("update", (data) => updates.push(data));
  watched.client.connect();
  await watched.receive(2);
  expect(updates).toEqual([1]);
});

test("row q: a token that comes after the end opens nothing", async () => {
  const server = await serve(stream());
  const tokens: ((token: string) => void)[] = [];
  const watched = connect({ url: server.url, token: () => new Promise<string>((resolve) => tokens.push(resolve)) });
  await expect.poll(() => tokens.length).toBe(1);
  watched.client.disconnect();
  watched.client.connect();
  await expect.poll(() => tokens.length).toBe(2);
  watched.client.destroy();
  for (const give of tokens) give("late");
  await server.barrier();
  expect(server.requests).toHaveLength(0);
});

test("row r: a character cut in two by the network stays whole", async () => {
  const bytes = new TextEncoder().encode("data:a😀é€b\n\n");
  const server = await serve(stream(...[...bytes].map((byte) => Uint8Array.of(byte))));
  const watched = connect({ url: server.url });
  await watched.receive(1);
  expect(watched.texts).toEqual(["a😀é€b"]);
});

test("row s: a byte order mark cut in three does not cost the first event", async () => {
  const server = await serve(stream({ hex: "ef" }, { hex: "bb" }, { hex: "bf" }, "data:a\n\n"));
  const watched = connect({ url: server.url });
  await watched.receive(1);
  expect(watched.texts).toEqual(["a"]);
});

test("rows t, u: neither a byte order mark nor unknown fields before any id are an error", async () => {
  const server = await serve(stream({ hex: "efbbbf" }, "foo: bar\n\n", { hex: "efbbbf" }, "x\n\n", "data:a\n\n"));
  const watched = connect({ url: server.url });
  await watched.receive(1);
  expect(watched.texts).toEqual(["a"]);
  expect(watched.errors).toEqual([]);
});
