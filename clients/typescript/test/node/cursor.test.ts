import { describe, expect, test } from "vitest";
import { broken, ended, refused, stream } from "../kit/answers.ts";
import type { Answer } from "../kit/scripted.ts";
import { serve } from "../kit/servers.ts";
import { connect, watch } from "../kit/watch.ts";

/** The `Last-Event-ID` of each request, as UTF-8. */
const sent = (server: { requests: { headers: Record<string, string> }[] }): (string | undefined)[] =>
  server.requests.map(({ headers }) => {
    const id = headers["last-event-id"];
    return id === undefined ? undefined : Buffer.from(id, "latin1").toString("utf8");
  });

/** Runs one connection after another, each broken by the server, and says with what ids they asked. */
async function asked(...answers: Answer[]): Promise<(string | undefined)[]> {
  const server = await serve(...answers, stream());
  const watched = connect({ url: server.url });
  for (const _ of answers) await watched.again();
  await watched.until("open");
  return sent(server);
}

describe("the cursor", () => {
  test("21: is the id of the last event, inherited by those without one", async () => {
    const server = await serve(stream("id: 1\ndata: 1\n\ndata: 2\n\nid: 2\ndata:3\n\ndata:4\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(4);
    expect(watched.ids).toEqual(["1", "1", "2", "2"]);
    expect(watched.client.lastEventId).toBe("2");
  });

  test.each(["id:", "id"])("22: is taken back by %j, and the next request has none", async (line) => {
    expect(await asked(broken(`id: 1\ndata:1\n\n${line}\ndata:2\n\ndata:3\n\n`))).toEqual([undefined, undefined]);
  });

  test("23: is not touched by an id with NUL", async () => {
    expect(await asked(broken("id:1\ndata:0\n\nid: x\0y\ndata:h\n\n"))).toEqual([undefined, "1"]);
  });

  test("24: moves with an id without data", async () => {
    expect(await asked(broken("id:9\n\n"))).toEqual([undefined, "9"]);
  });

  test("25: is still there at the third connection, and the fourth", async () => {
    const server = await serve(broken("id:7\ndata:a\n\n"), broken("data:b\n\n"), broken(), stream("data:d\n\n"));
    const watched = connect({ url: server.url });
    for (let turn = 0; turn < 3; turn++) await watched.again();
    await watched.receive(3);
    expect(watched.ids).toEqual(["7", "7", "7"]);
    expect(sent(server)).toEqual([undefined, "7", "7", "7"]);
  });

  test("26: is not moved by a block that was cut off", async () => {
    const server = await serve(ended("id:a\ndata:x\n\nid:b\ndata:y\n"), stream());
    const watched = connect({ url: server.url });
    await watched.again();
    await watched.until("open");
    expect(watched.texts).toEqual(["x"]);
    expect(sent(server)).toEqual([undefined, "a"]);
  });

  test("27: goes as the bytes of its UTF-8", async () => {
    expect(await asked(broken("id:é☃😀\ndata:x\n\n"))).toEqual([undefined, "é☃😀"]);
  });

  test.each([
    ["a control byte", "a\x01b"],
    ["DEL", "a\x7fb"],
    ["more bytes than a header should have", "x".repeat(5_000)],
  ])("27: with %s is kept, but not sent, and nothing is thrown", async (_, id) => {
    const server = await serve(broken(`id:${id}\ndata:x\n\n`), stream("data:y\n\n"));
    const watched = connect({ url: server.url });
    await watched.again();
    await watched.receive(2);
    expect(sent(server)).toEqual([undefined, undefined]);
    expect(watched.client.lastEventId).toBe(id);
    expect(watched.errors.map(({ kind }) => kind)).toEqual(["limit", "network"]);
  });

  test("survives refusals, disconnect, and a new client that is given it", async () => {
    const server = await serve(broken("id:1\ndata:a\n\n"), refused(503), stream("data:b\n\n"), stream("data:c\n\n"), stream("data:d\n\n"));
    const watched = connect({ url: server.url });
    await watched.again();
    await watched.again();
    await watched.receive(2);
    watched.client.disconnect();
    watched.client.connect();
    await watched.receive(3);
    const other = connect({ url: server.url, lastEventId: watched.client.lastEventId });
    await other.receive(1);
    expect(sent(server)).toEqual([undefined, "1", "1", "1", "1"]);
  });

  test("can be set: the next attempt resumes there", async () => {
    const server = await serve(stream("id:5\ndata:a\n\n"), stream("data:b\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(1);
    watched.client.lastEventId = "2";
    watched.client.reconnect();
    await watched.receive(2);
    expect(sent(server)).toEqual([undefined, "2"]);
    expect(watched.ids).toEqual(["5", "2"]);
  });

  test("stands where the last delivered event is, when a handler ends it in the middle of a chunk", async () => {
    const server = await serve(stream("id:1\ndata:1\n\nid:2\ndata:2\n\nid:3\ndata:3\n\n"), stream("id:3\ndata:3\n\n"));
    const watched = watch({ url: server.url });
    watched.client.on("message", (data) => data === 2 && watched.client.disconnect());
    watched.client.connect();
    await watched.until("closed");
    expect(watched.client.lastEventId).toBe("2");
    watched.client.connect();
    await watched.receive(3);
    expect(sent(server)).toEqual([undefined, "2"]);
    expect(watched.texts).toEqual(["1", "2", "3"]);
  });
});

describe("retry:", () => {
  /** The ceiling of the first delay after the server said `wire`. */
  async function ceiling(wire: string): Promise<number> {
    const server = await serve(broken(`${wire}data:x\n\n`));
    const watched = connect({ url: server.url, random: () => 1 });
    await watched.until("reconnecting");
    return watched.clock.next;
  }

  test.each([
    ["retry:3000\n", 3_000],
    ["retry:03000\n", 3_000],
    ["retry: 1234\n\n", 1_234],
    ["retry:500\nretry:x\n", 500],
    ["retry:0\n", 100],
    ["retry:1\n", 100],
    ["retry:99999999999\n", 30_000],
    [`retry:${"9".repeat(30)}\n`, 30_000],
    ["retry:+1\nretry:-1\nretry:1.5\nretry:1e3\nretry:0x10\nretry:1_000\nretry:１２\nretry:\nretry\n", 1_000],
  ])("28, 29: %j gives a base of %d ms", async (wire, milliseconds) => {
    expect(await ceiling(wire)).toBe(milliseconds);
  });

  test("28: counts without data, and for all connections after it", async () => {
    const server = await serve(broken("retry:5000\n\n"), broken("data:a\n\n"), broken("data:b\n\n"), stream());
    const watched = connect({ url: server.url, random: () => 1 });
    const waits: number[] = [];
    for (let turn = 1; turn <= 3; turn++) {
      await expect.poll(() => watched.lost).toBe(turn);
      waits.push(watched.clock.next);
      watched.clock.advance(watched.clock.next);
    }
    expect(waits).toEqual([5_000, 5_000, 5_000]);
    await watched.until("open");
  });
});

describe("failures in a row", () => {
  test("begin anew with an event, not with a mere 200", async () => {
    const server = await serve(refused(503), refused(503), broken(), broken("data:a\n\n"), broken());
    const watched = connect({ url: server.url, random: () => 1 });
    const waits: number[] = [];
    for (let turn = 1; turn <= 5; turn++) {
      await expect.poll(() => watched.lost).toBe(turn);
      waits.push(watched.clock.next);
      watched.clock.advance(watched.clock.next);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 1_000, 2_000]);
  });

  test("begin anew with a connection that held for half a minute", async () => {
    const server = await serve(refused(503), refused(503), stream(":\n\n"), refused(503));
    let beats = 0;
    const watched = connect({ url: server.url, random: () => 1, onComment: () => beats++ });
    await watched.again();
    await watched.again();
    await watched.until("open");
    watched.clock.advance(30_000);
    server.send(":beat\n\n");
    await expect.poll(() => beats).toBe(2);
    server.drop();
    await expect.poll(() => watched.lost).toBe(3);
    expect(watched.clock.next).toBe(1_000);
  });

  test.each([0, 1, 3])("after maxRetries %d: it gives up, and shows it", async (maxRetries) => {
    const server = await serve(refused(503));
    const watched = connect({ url: server.url, maxRetries });
    for (let turn = 0; turn < maxRetries; turn++) await watched.again();
    await watched.until("error");
    expect(server.requests).toHaveLength(maxRetries + 1);
    expect(watched.client.status.error).toMatchObject({ kind: "exhausted", retryable: false, cause: { kind: "http", status: 503 } });
    expect(watched.errors.at(-1)).toBe(watched.client.status.error);
    expect(watched.clock.pending).toBe(0);
    watched.client.connect();
    await expect.poll(() => server.requests.length).toBe(maxRetries + 2);
  });

  test("never reach maxRetries while events come in between", async () => {
    const server = await serve(ended("data:x\n\n"));
    const watched = connect({ url: server.url, maxRetries: 2 });
    for (let turn = 0; turn < 10; turn++) await watched.again();
    await watched.receive(11);
    expect(watched.states).not.toContain("error");
  });

  test("connection refused is a failure like any other", async () => {
    const server = await serve(broken("data:a\n\n"), stream("data:b\n\n"));
    const watched = connect({ url: server.url });
    await watched.receive(1);
    await expect.poll(() => watched.lost).toBe(1);
    await server.refuse();
    for (let turn = 0; turn < 3; turn++) await watched.again();
    await expect.poll(() => watched.lost).toBe(4);
    await server.listen();
    await watched.again();
    await watched.receive(2);
    expect(watched.errors.map(({ kind }) => kind)).toEqual(["network", "network", "network", "network"]);
  });
});
