import { describe, expect, test } from "vitest";
import type { SSEClientOptions } from "../../src/types.ts";
import { broken, ended, mute, poll, refused, stream } from "../kit/answers.ts";
import type { Answer, Request } from "../kit/scripted.ts";
import { serveWith } from "../kit/servers.ts";
import { connect, type Watched } from "../kit/watch.ts";

const EPOCH = "0123456789ab";
const event = (number: number, type = "message"): object => ({ id: `${EPOCH}-${number}`, type, data: String(number) });
const next = (number: number): string => `${EPOCH}-${number}`;

/** A hub whose streams and long-polls are answered apart, each in turn, the last for ever. */
async function hub(streams: Answer[], polls: Answer[]): Promise<{ url: string; streams: Request[]; polls: Request[]; open(): number; server: Awaited<ReturnType<typeof serveWith>> }> {
  const seen = { streams: [] as Request[], polls: [] as Request[] };
  const server = await serveWith((request) => {
    const isPoll = request.headers["accept"] === "application/json";
    const [list, answers] = isPoll ? [seen.polls, polls] : [seen.streams, streams];
    return answers[Math.min(list.push(request) - 1, answers.length - 1)] ?? mute;
  });
  return { url: server.url.replace("/stream", ""), ...seen, open: () => server.open, server };
}

const session = (baseUrl: string, options: SSEClientOptions = {}): Watched => connect({ baseUrl, sessionId: "s", ...options });

/** Lets three streams fail, after which the next attempt is a long-poll. */
async function fallBack(watched: Watched): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await watched.again();
}

/** Lets somebody on the way keep three streams back, after which the next attempt is a long-poll. */
async function keepBack(watched: Watched, streams: Request[]): Promise<void> {
  for (let turn = 1; turn <= 3; turn++) {
    await expect.poll(() => streams.length).toBe(turn);
    watched.clock.advance(10_000);
    expect(watched.lost).toBe(turn);
    await watched.again();
  }
}

describe("long-polls", () => {
  test("bring the events where no stream gets through, and resume from the same cursor", async () => {
    const { url, streams, polls } = await hub(
      [mute],
      [poll({ events: [], next: next(3), gap: null }), poll({ events: [event(4), event(5, "tick")], next: next(5) }), mute],
    );
    const watched = session(url);
    await keepBack(watched, streams);
    await watched.until("polling");
    watched.clock.advance(500);
    await watched.receive(2);
    watched.clock.advance(1);
    await expect.poll(() => polls.length).toBe(3);
    expect(watched.events.map(({ type, text, id }) => [type, text, id])).toEqual([
      ["message", "4", next(4)],
      ["tick", "5", next(5)],
    ]);
    expect(streams).toHaveLength(3);
    // The first must not wait: it tells that this way works, and only behind its position nothing can be lost.
    expect(polls.map(({ path }) => path)).toEqual([
      "/sessions/s/events?wait=0",
      `/sessions/s/events?after=${next(3)}&wait=25`,
      `/sessions/s/events?after=${next(5)}&wait=25`,
    ]);
    expect(watched.client.isConnected).toBe(true);
    expect(watched.states).toEqual(["connecting", "reconnecting", "reconnecting", "reconnecting", "polling"]);
  });

  test("are left at once by reconnect, if a stream gets through again", async () => {
    const { url, streams } = await hub(
      [refused(502), refused(502), refused(502), stream("data:a\n\n")],
      [poll({ events: [], next: next(3) }), mute],
    );
    const watched = session(url);
    await fallBack(watched);
    await watched.until("polling");
    watched.client.reconnect();
    await watched.until("open");
    await watched.receive(1);
    expect(streams.at(-1)?.headers["last-event-id"]).toBe(next(3));
  });

  test("do not begin after streams of which bytes came", async () => {
    const { url, polls } = await hub([broken("data:1\n\n")], [mute]);
    const watched = session(url);
    for (let turn = 0; turn < 6; turn++) await watched.again();
    expect(polls).toHaveLength(0);
  });

  test("begin where the head comes and the body does not", async () => {
    const head = { headers: { "content-type": "text/event-stream", "heartbeat-interval": "15" }, then: "hang" as const };
    const { url, streams, polls } = await hub([head], [mute]);
    const watched = session(url);
    await keepBack(watched, streams);
    await expect.poll(() => polls.length).toBe(1);
    expect(watched.states).not.toContain("open");
  });

  test("are left as soon as one was answered, if streams were refused and not kept back", async () => {
    const { url, streams, polls } = await hub(
      [refused(502), refused(502), refused(502), stream(`id:${next(4)}\ndata:4\n\n`)],
      [refused(502), poll({ events: [event(3)], next: next(3) }), mute],
    );
    const watched = session(url);
    await fallBack(watched);
    // The hub is away: long-polls and streams take turns.
    await watched.again();
    await watched.until("open");
    await watched.receive(1);
    expect([streams.length, polls.length]).toEqual([4, 1]);
  });

  test("are not for a foreign URL, unless wanted", async () => {
    const plain = await hub([refused(502)], [mute]);
    const first = connect({ url: `${plain.url}/x` });
    for (let turn = 0; turn < 6; turn++) await first.again();
    expect(plain.polls).toHaveLength(0);
    const wanted = await hub([refused(502)], [mute]);
    const second = connect({ url: `${wanted.url}/x`, enablePollingFallback: true });
    await fallBack(second);
    await expect.poll(() => wanted.polls.length).toBe(1);
    const unwanted = await hub([refused(502)], [mute]);
    const third = session(unwanted.url, { enablePollingFallback: false });
    for (let turn = 0; turn < 6; turn++) await third.again();
    expect(unwanted.polls).toHaveLength(0);
  });

  test("with nothing to tell come no closer than the polling interval", async () => {
    const { url, streams, polls } = await hub([mute], [poll({ events: [], next: next(3) })]);
    const watched = session(url, { pollingInterval: 2_000 });
    await keepBack(watched, streams);
    for (let turn = 1; turn <= 3; turn++) {
      await expect.poll(() => polls.length).toBe(turn);
      await expect.poll(() => watched.clock.next).toBe(2_000);
      watched.clock.advance(2_000);
    }
  });

  test("that fail take turns with streams, with a back-off between", async () => {
    const { url, streams, polls } = await hub([refused(502)], [refused(502)]);
    const watched = session(url, { random: () => 1 });
    const waits: number[] = [];
    for (let turn = 1; turn <= 8; turn++) {
      await expect.poll(() => watched.lost).toBe(turn);
      waits.push(watched.clock.next);
      watched.clock.advance(watched.clock.next);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    await expect.poll(() => streams.length + polls.length).toBe(9);
    expect(polls.length).toBeGreaterThanOrEqual(2);
    expect(streams.length).toBeGreaterThanOrEqual(5);
  });

  test.each<[string, Answer]>([
    ["405", refused(405)],
    ["406", refused(406)],
    ["a page", { headers: { "content-type": "text/html" }, body: ["<html>hello"] }],
    ["JSON of another kind", poll({ hello: "world" })],
  ])("that a server does not know (%s) are not asked for again, and are no reason to give up", async (_, answer) => {
    const { url, polls, streams } = await hub([refused(502)], [answer]);
    const watched = session(url);
    for (let turn = 0; turn < 8; turn++) await watched.again();
    expect(polls).toHaveLength(1);
    expect(streams.length).toBeGreaterThanOrEqual(6);
    expect(watched.client.state).toBe("reconnecting");
  });

  test("that are refused with 403 are the end", async () => {
    const { url } = await hub([refused(502)], [refused(403)]);
    const watched = session(url);
    await fallBack(watched);
    await watched.until("error");
    expect(watched.client.status.error).toMatchObject({ kind: "auth", status: 403 });
  });

  test("are left when a stream gets through again, after tries that grow rarer", async () => {
    const streams = [mute, mute, mute, refused(502), stream(`id:${next(9)}\ndata:9\n\n`)];
    const seen = await hub(streams, [poll({ events: [], next: next(8) })]);
    const watched = session(seen.url);
    await keepBack(watched, seen.streams);
    await watched.until("polling");
    const tries: number[] = [];
    const began = watched.clock.now();
    while (watched.client.state !== "open") {
      const before = seen.streams.length;
      await expect.poll(() => watched.clock.pending === 1 && seen.open() === 0).toBe(true);
      watched.clock.advance(500);
      await seen.server.barrier();
      await seen.server.barrier();
      if (seen.streams.length > before) tries.push(watched.clock.now() - began);
      if (watched.clock.now() - began > 120_000) break;
    }
    await watched.receive(1);
    expect(watched.client.state).toBe("open");
    expect(seen.streams.at(-1)?.headers["last-event-id"]).toBe(next(8));
    expect(tries).toHaveLength(2);
    expect(tries[0]).toBeGreaterThanOrEqual(14_000);
    expect((tries[1] ?? 0) - (tries[0] ?? 0)).toBeGreaterThanOrEqual(28_000);
    const polled = seen.polls.length;
    watched.clock.advance(10_000);
    await seen.server.barrier();
    expect(seen.polls.length).toBe(polled);
    expect(seen.open()).toBe(1);
  });

  test("tell a gap before what follows it, and drop what came already", async () => {
    const gap = { from: next(2), to: next(6), missed: 5, reason: "evicted" };
    const { url, streams } = await hub(
      [mute],
      [poll({ events: [event(1)], next: next(1) }), poll({ events: [event(1), event(7)], next: next(7), gap }), mute],
    );
    const watched = session(url, { replay: "all" });
    await keepBack(watched, streams);
    await watched.receive(1);
    watched.clock.advance(1);
    await watched.receive(3);
    expect(watched.events.map(({ type, text }) => (type === "gap" ? type : text))).toEqual(["1", "gap", "7"]);
    expect(watched.events[1]?.data).toEqual(gap);
    expect(watched.client.lastEventId).toBe(next(7));
  });

  test("that a closing event ends for now are followed by another attempt", async () => {
    const end = { error: "slow", code: "SLOW_CONSUMER" };
    const { url, streams } = await hub([mute], [poll({ events: [], next: next(3), end }), poll({ events: [event(4)], next: next(4) }), mute]);
    const watched = session(url);
    await keepBack(watched, streams);
    await expect.poll(() => watched.client.status.error?.code).toBe("SLOW_CONSUMER");
    expect(watched.client.state).toBe("reconnecting");
    expect(watched.client.lastEventId).toBe(next(3));
  });

  test("tell the end of the session", async () => {
    const end = { error: "the session was ended", code: "SESSION_ENDED" };
    const { url, polls } = await hub([refused(502)], [poll({ events: [], next: next(3), gap: null, end })]);
    const watched = session(url);
    await fallBack(watched);
    await watched.until("closed");
    expect(watched.client.status).toMatchObject({ error: null, reason: "session-ended" });
    watched.clock.advance(600_000);
    expect(polls).toHaveLength(1);
  });

  test("of several events end with the handler that closes: the rest is not delivered, and not lost", async () => {
    const { url, polls, streams } = await hub(
      [refused(502), refused(502), refused(502), mute],
      [poll({ events: [event(1), event(2), event(3)], next: next(3) }), mute],
    );
    const watched = session(url, { replay: "all" });
    watched.client.on("message", (data) => data === 2 && watched.client.disconnect());
    await fallBack(watched);
    await watched.until("closed");
    expect(watched.client.lastEventId).toBe(next(2));
    watched.client.connect();
    await expect.poll(() => streams.length).toBe(4);
    expect(streams[3]?.headers["last-event-id"]).toBe(next(2));
    expect(polls).toHaveLength(1);
  });

  test("204 is the end here, too", async () => {
    const { url } = await hub([ended()], [refused(204)]);
    const watched = session(url);
    await fallBack(watched);
    await watched.until("closed");
    expect(watched.clock.pending).toBe(0);
  });
});
