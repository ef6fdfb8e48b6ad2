import { describe, expect, test } from "vitest";
import { ledger } from "../../src/ledger.ts";
import type { SSEClientOptions } from "../../src/types.ts";
import { ended, mute, poll, refused, stream } from "../kit/answers.ts";
import type { Answer, ScriptedServer } from "../kit/scripted.ts";
import { serve } from "../kit/servers.ts";
import { countingSignal } from "../kit/signal.ts";
import { watch, type Watched } from "../kit/watch.ts";

/** A moment in the life of a client at which it is ended. */
interface Moment {
  answers: Answer[];
  options?(stop: () => void): SSEClientOptions;
  /** Where the end comes from the test, not from within a call: how the moment is reached. */
  reach?(watched: Watched, server: ScriptedServer): Promise<void> | void;
  /** The end comes from within something that the client calls. */
  within?: "handler" | "watcher";
  /** It is not begun at all. */
  idle?: boolean;
}

const THREE = "data:1\n\ndata:2\n\ndata:3\n\n";
const polling: SSEClientOptions = { enablePollingFallback: true };
/** Three streams in which no byte came, so that the fourth attempt is a long-poll. */
const silent = [refused(503), refused(503), refused(503)];

const toPoll = async (watched: Watched): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) await watched.again();
};

const requests = (server: ScriptedServer, count: number): Promise<void> =>
  expect.poll(() => server.requests.length).toBeGreaterThanOrEqual(count);

const MOMENTS: Record<string, Moment> = {
  "before it began": { answers: [stream()], idle: true },
  "in the tick in which it began": { answers: [stream()], reach: () => {} },
  "while the token is awaited": {
    answers: [stream()],
    options: () => ({ token: () => new Promise<string>(() => {}) }),
    reach: () => new Promise((resolve) => setImmediate(resolve)),
  },
  "while the connection is made": {
    answers: [stream()],
    reach: async () => {
      // Past the microtasks in which the request is built, before the socket can be there.
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    },
  },
  "while the head is awaited": { answers: [mute], reach: (_, server) => requests(server, 1) },
  "between head and first byte": { answers: [stream()], reach: (watched) => watched.until("open") },
  "between head and first byte of a hub": {
    answers: [{ headers: { "content-type": "text/event-stream", "heartbeat-interval": "15" }, then: "hang" }],
    reach: async (_, server) => {
      await requests(server, 1);
      await server.barrier();
    },
  },
  "in the middle of a line": {
    answers: [stream(`${THREE}id:5\ndata:unfin`)],
    reach: (watched) => watched.receive(3),
  },
  "in a handler, at the first of three events": { answers: [stream(THREE)], within: "handler" },
  "in onError": { answers: [refused(503), stream(THREE)], options: (stop) => ({ onError: stop }) },
  "in onConnectionChange": { answers: [stream(THREE)], within: "watcher" },
  "in onComment": { answers: [stream(`:c\n${THREE}`)], options: (stop) => ({ onComment: stop }) },
  "in the back-off": { answers: [refused(503), stream(THREE)], reach: (watched) => watched.until("reconnecting") },
  "in the back-off after an event": { answers: [ended("data:1\n\n"), stream(THREE)], reach: (watched) => watched.until("reconnecting") },
  "while an error's words are read": {
    answers: [{ status: 503, headers: { "content-type": "application/json" }, body: ["{"], then: "hang" }],
    reach: async (_, server) => {
      await requests(server, 1);
      await server.barrier();
    },
  },
  "while a long-poll is in flight": {
    answers: [...silent, mute],
    options: () => polling,
    reach: async (watched, server) => {
      await toPoll(watched);
      await requests(server, 4);
    },
  },
  "while a long-poll's answer is read": {
    answers: [...silent, { headers: { "content-type": "application/json" }, body: ['{"events":['], then: "hang" }],
    options: () => polling,
    reach: async (watched, server) => {
      await toPoll(watched);
      await requests(server, 4);
      await server.barrier();
    },
  },
  "between two long-polls": {
    answers: [...silent, poll({ events: [], next: "5" }), mute],
    options: () => polling,
    reach: async (watched) => {
      await toPoll(watched);
      await watched.until("polling");
    },
  },
  "while the page is hidden": {
    answers: [stream(THREE)],
    reach: async (watched) => {
      await watched.receive(3);
      watched.page.hide();
    },
  },
  "while the page is hidden and it waits": {
    answers: [refused(503), refused(503), stream(THREE)],
    reach: async (watched) => {
      watched.page.hide();
      await watched.again();
      await expect.poll(() => watched.lost).toBe(2);
    },
  },
  "while the page is in the back-forward cache": {
    answers: [stream(THREE)],
    reach: async (watched) => {
      await watched.receive(3);
      watched.page.leave();
    },
  },
  "after it failed for good": { answers: [refused(404)], reach: (watched) => watched.until("error") },
  "after 204": { answers: [refused(204)], reach: (watched) => watched.until("closed") },
};

const NOTHING = { clients: 0, attempts: 0, timers: 0, listeners: 0 };
const WAYS = ["disconnect", "destroy", "close", "abort", "dispose", "disconnect twice, then destroy"] as const;

describe.each(Object.entries(MOMENTS))("ended %s", (_, moment) => {
  test.each(WAYS)("by %s: nothing is left, and nothing more is heard", async (way) => {
    const server = await serve(...moment.answers);
    const { signal, abort, listeners } = countingSignal();
    let stopped = false;
    let heard = -1;
    const stop = (): void => {
      if (stopped) return;
      stopped = true;
      const { client } = watched;
      if (way === "abort") abort();
      else if (way === "dispose") client[Symbol.dispose]();
      else if (way === "disconnect twice, then destroy") {
        client.disconnect();
        client.disconnect();
        client.destroy();
        client.destroy();
      } else client[way]();
      // The very moment it is ended.
      const final = way !== "disconnect";
      expect(ledger).toMatchObject({ ...NOTHING, listeners: final ? 0 : 1, ...(final && { handlers: 0 }) });
      expect(listeners()).toBe(final ? 0 : 1);
      expect(watched.page.listeners).toBe(0);
      expect(watched.clock.pending).toBe(0);
      heard = watched.events.length;
    };
    const watched = watch({ url: server.url, signal, ...moment.options?.(stop) });
    if (moment.within === "handler") watched.client.on("message", stop);
    if (moment.within === "watcher") watched.client.onConnectionChange((state) => state === "open" && stop());
    if (!moment.idle) watched.client.connect();
    if (moment.reach) await moment.reach(watched, server);
    if (moment.reach || moment.idle) stop();
    await expect.poll(() => stopped).toBe(true);

    await expect.poll(() => server.open).toBe(0);
    await server.barrier();
    const before = server.requests.length;
    server.send("data:late\n\n");
    watched.page.show();
    watched.page.online();
    watched.page.comeBack();
    watched.clock.advance(3_600_000);
    await server.barrier();
    expect(server.open).toBe(0);
    expect(server.requests.length).toBe(before);
    // All handlers are told of the event in which one of them disconnects; none is after `destroy`.
    expect(watched.events.length).toBeLessThanOrEqual(heard + (moment.within === "handler" && way === "disconnect" ? 1 : 0));
    expect(watched.clock.pending).toBe(0);
    expect(["closed", "error"]).toContain(watched.client.state);
  });

  test("and begun again in the same tick: one connection, and none of the old one's events", async () => {
    const server = await serve(...moment.answers);
    let begun = false;
    const stop = (): void => {
      if (begun) return;
      begun = true;
      server.script = [stream("data:new\n\n")];
      watched.client.disconnect();
      watched.client.connect();
      expect(ledger).toMatchObject({ clients: 1, attempts: 1 });
      watched.events.length = 0;
    };
    const watched = watch({ url: server.url, ...moment.options?.(stop), token: undefined });
    if (moment.within === "handler") watched.client.on("message", stop);
    if (moment.within === "watcher") watched.client.onConnectionChange((state) => state === "open" && stop());
    if (!moment.idle) watched.client.connect();
    if (moment.reach) await moment.reach(watched, server);
    if (moment.reach || moment.idle) stop();
    await expect.poll(() => watched.texts.filter((text) => text === "new").length).toBe(1);
    await server.barrier();
    await expect.poll(() => server.open).toBe(1);
    expect(ledger).toMatchObject({ clients: 1, attempts: 1, timers: 1 });
    // A handler that ends it is called for the event that it ends at, and for no other of the old ones.
    expect(watched.texts.filter((text) => text !== "new").length).toBeLessThanOrEqual(moment.within === "handler" ? 1 : 0);
  });
});
