import { afterEach, describe, expect, it } from "vitest";
import { SSEClient, type SSEClientOptions, type SSEEvent } from "../../src/index.ts";
import { createClock, createMemoryHub, expectNoLeaks, settle, type MemoryHub } from "../../src/testing/index.ts";

/** What a stream carries, until it is quiet. */
async function wire(hub: MemoryHub, url = "/sessions/s/events", headers: Record<string, string> = {}): Promise<string> {
  const abort = new AbortController();
  const response = await hub.fetch(url, { headers: { accept: "text/event-stream", ...headers }, signal: abort.signal });
  const decoder = new TextDecoder();
  let text = "";
  const reading = response.body
    ?.pipeTo(new WritableStream({ write: (bytes: Uint8Array) => void (text += decoder.decode(bytes, { stream: true })) }))
    .catch(() => {});
  await settle();
  abort.abort();
  await reading;
  return text;
}

async function poll(hub: MemoryHub, query: string): Promise<Record<string, unknown>> {
  const response = await hub.fetch(`/sessions/s/events?${query}`, { headers: { accept: "application/json" } });
  return (await response.json()) as Record<string, unknown>;
}

function watch(hub: MemoryHub, options: SSEClientOptions = {}): { client: SSEClient; events: SSEEvent[] } {
  const client = new SSEClient({ sessionId: "s", fetch: hub.fetch, random: () => 0.5, ...options });
  const events: SSEEvent[] = [];
  client.on("*", (_, event) => events.push(event));
  client.connect();
  return { client, events };
}

afterEach(() => expectNoLeaks());

describe("the wire", () => {
  it("begins with a comment, a retry and a position, and ids are an epoch and a sequence", async () => {
    const hub = createMemoryHub();
    expect(await wire(hub)).toMatch(/^: watertight\nretry: 2000\nid: [0-9a-hjkmnp-tv-z]{12}-0\n\n$/);
    const id = hub.publish("s", "tick", { n: 1 });
    const epoch = id.split("-")[0];
    expect(await wire(hub, "/sessions/s/events?replay=all")).toBe(
      `: watertight\nretry: 2000\nid: ${epoch}-0\n\nid: ${epoch}-1\nevent: tick\ndata: {"n":1}\n\n`,
    );
    expect(hub.connections).toBe(0);
  });

  it("leaves out the type message, and splits a text into lines", async () => {
    const hub = createMemoryHub();
    hub.publishText("s", "message", "a\nb\r\n");
    expect(await wire(hub, "/sessions/s/events?replay=1")).toContain("-1\ndata: a\ndata: b\ndata: \n\n");
  });

  it("tells a gap of the source in its place, with an id of its own, on streams and again to whoever resumes before it", async () => {
    const hub = createMemoryHub();
    const { client, events } = watch(hub);
    await settle();
    const first = hub.publish("s", "n", 1);
    const id = hub.sourceGap("s", 7);
    hub.publish("s", "n", 2);
    await settle();
    const gap = { from: id, to: id, missed: 7, reason: "source" };
    expect(events.map(({ type, data }) => [type, data])).toEqual([["n", 1], ["gap", gap], ["n", 2]]);
    const block = `id: ${id}\nevent: gap\ndata: ${JSON.stringify(gap)}\n\n`;
    expect(await wire(hub, "/sessions/s/events", { "last-event-id": first })).toContain(block);
    expect(await wire(hub, "/sessions/s/events", { "last-event-id": id })).not.toContain("event: gap");
    client.destroy();
  });

  it("answers a long-poll with one gap, before the events: one that comes later is left for the next answer", async () => {
    const hub = createMemoryHub();
    const first = hub.publish("s", "n", 1);
    const ids = [hub.sourceGap("s"), hub.sourceGap("s", 2)];
    const last = hub.publish("s", "n", 2);
    const gap = (id: string | undefined, missed: number | null): object => ({ from: id, to: id, missed, reason: "source" });
    const answer = async (after: string): Promise<unknown[]> => {
      const { events, gap, next } = await poll(hub, `after=${after}`);
      return [(events as { id: string }[]).map(({ id }) => id), gap, next];
    };
    expect(await answer(first.replace(/\d+$/, "0"))).toEqual([[first], null, first]);
    expect(await answer(first)).toEqual([[], gap(ids[0], null), ids[0]]);
    expect(await answer(ids[0] ?? "")).toEqual([[last], gap(ids[1], 2), last]);
  });

  it("names its heartbeat and keeps it, however long nothing is published", async () => {
    const clock = createClock();
    const hub = createMemoryHub({ clock, heartbeatInterval: 5 });
    const { client } = watch(hub, { clock });
    await clock.advance(600_000);
    expect([client.state, hub.requests.length]).toEqual(["open", 1]);
    client.destroy();
    expect([hub.connections, clock.pending]).toEqual([0, 0]);
  });

  it("resumes after the id it is given, and tells what is gone", async () => {
    const hub = createMemoryHub({ history: 2 });
    const ids = [1, 2, 3, 4].map((n) => hub.publish("s", "n", n));
    const [epoch] = ids[0]!.split("-");
    const resumed = (id: string): Promise<string> => wire(hub, undefined, { "last-event-id": id });
    expect(await resumed(ids[2]!)).toBe(`: watertight\nretry: 2000\nid: ${ids[2]}\n\nid: ${ids[3]}\nevent: n\ndata: 4\n\n`);
    const evicted = `{"from":"${ids[1]}","to":"${ids[1]}","missed":1,"reason":"evicted"}`;
    expect(await resumed(ids[0]!)).toContain(`\n\nid: ${ids[1]}\nevent: gap\ndata: ${evicted}\n\nid: ${ids[2]}\n`);
    const two = `{"from":"${ids[0]}","to":"${ids[1]}","missed":2,"reason":"evicted"}`;
    for (const replay of ["all", "4", "100"]) {
      const replayed = await wire(hub, `/sessions/s/events?replay=${replay}`);
      expect(replayed).toContain(`retry: 2000\n\nid: ${ids[1]}\nevent: gap\ndata: ${two}\n\nid: ${ids[2]}\n`);
    }
    expect(await wire(hub, "/sessions/s/events?replay=2")).not.toContain("gap");
    const unknown = `{"from":"${epoch}-9","to":"${ids[1]}","missed":null,"reason":"unknown_id"}`;
    expect(await resumed(`${epoch}-9`)).toContain(`id: ${ids[1]}\nevent: gap\ndata: ${unknown}\n\nid: ${ids[2]}\n`);
    expect(await resumed("none")).toContain('"from":null');
    hub.restart();
    expect(await resumed(ids[3]!)).toContain('"reason":"epoch"');
  });

  it("answers long-polls with the same cursors", async () => {
    const clock = createClock();
    const hub = createMemoryHub({ clock });
    const first = await Promise.all([poll(hub, "wait=0"), clock.advance(0)]);
    const { next } = first[0];
    expect(first[0]).toEqual({ events: [], next, gap: null });
    const waiting = poll(hub, `after=${String(next)}&wait=25`);
    await settle();
    expect(hub.connections).toBe(1);
    const id = hub.publish("s", "tick", { n: 1 });
    const event = { id, type: "tick", data: '{"n":1}', created_at: clock.now() / 1_000 };
    expect(await waiting).toEqual({ events: [event], next: id, gap: null });
    const two = hub.publish("s", "tick", 2);
    hub.publish("s", "tick", 3);
    expect(await poll(hub, `after=${id}&limit=1`)).toMatchObject({ events: [{ id: two }], next: two });
    expect([hub.connections, clock.pending]).toEqual([0, 0]);
  });
});

describe("faults", () => {
  it.each<[string, (hub: MemoryHub) => void]>([
    ["drop", (hub) => hub.drop()],
    ["end", (hub) => hub.end()],
    ["closingEvent", (hub) => hub.closingEvent()],
    ["refuse", (hub) => (hub.refuse(1, 502, { headers: { "retry-after": "3" } }), hub.drop())],
    ["refuse with an error", (hub) => (hub.refuse(1, new TypeError("no route")), hub.drop())],
    ["silence", (hub) => hub.silence()],
    ["chunk", (hub) => (hub.chunk(1), hub.drop())],
    ["hold and release", (hub) => (hub.hold(), hub.drop(), hub.release())],
  ])("%s: the client comes back, with nothing missed and nothing twice", async (_, fault) => {
    const clock = createClock();
    const hub = createMemoryHub({ clock });
    const { client, events } = watch(hub, { clock });
    await settle();
    hub.publish("s", "n", "one");
    await settle();
    fault(hub);
    hub.publish("s", "n", "two é☃");
    await clock.advance(120_000);
    hub.publish("s", "n", "three");
    await settle();
    expect(events.filter(({ type }) => type === "n").map(({ data }) => data)).toEqual(["one", "two é☃", "three"]);
    expect(client.state).toBe("open");
    client.destroy();
    expect([hub.connections, clock.pending]).toEqual([0, 0]);
  });

  it("buffering: long-polls take over, and give way once streams get through", async () => {
    const clock = createClock();
    const hub = createMemoryHub({ clock });
    hub.buffer();
    const { client, events } = watch(hub, { clock });
    // Not within a try for a stream, while which nothing is delivered.
    await clock.advance(40_000);
    expect(client.state).toBe("polling");
    hub.publish("s", "n", 1);
    // A try for a stream may be under way, which takes its time to fail.
    await clock.advance(20_000);
    expect(events).toHaveLength(1);
    hub.buffer(false);
    await clock.advance(600_000);
    expect(client.state).toBe("open");
    client.destroy();
    expect([hub.connections, clock.pending]).toEqual([0, 0]);
  });

  it("a closing event with SESSION_ENDED, and a 204, are the end", async () => {
    for (const end of [(hub: MemoryHub) => hub.closingEvent("SESSION_ENDED"), (hub: MemoryHub) => (hub.refuse(1, 204), hub.drop())]) {
      const clock = createClock();
      const hub = createMemoryHub({ clock });
      const { client } = watch(hub, { clock });
      await settle();
      end(hub);
      await clock.advance(600_000);
      expect([client.state, hub.connections, clock.pending]).toEqual(["closed", 0, 0]);
      client.destroy();
    }
  });

  it("a signal that is aborted ends a request at every point", async () => {
    const hub = createMemoryHub();
    await expect(hub.fetch("/x", { signal: AbortSignal.abort() })).rejects.toThrow("aborted");
    hub.hold();
    const abort = new AbortController();
    const held = hub.fetch("/x", { signal: abort.signal });
    expect(hub.connections).toBe(1);
    abort.abort();
    await expect(held).rejects.toThrow("aborted");
    expect(hub.connections).toBe(0);
  });
});
