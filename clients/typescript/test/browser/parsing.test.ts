import { describe, expect, test } from "vitest";
import { broken } from "../kit/answers.ts";
import { startScripted } from "../kit/remote.ts";
import { connect } from "../kit/watch.ts";
import { join, ROWS } from "../kit/wire.ts";

type Told = [type: string, data: string, id: string];

const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const HEADERS = { "content-type": "text/event-stream" };

/** What the browser's own EventSource makes of a URL, until its connection ends, or so many events have come. */
function native(url: string, types: string[], count = Infinity): Promise<Told[]> {
  return new Promise((resolve) => {
    const told: Told[] = [];
    const source = new EventSource(url);
    const done = (): void => {
      source.close();
      resolve(told);
    };
    for (const type of new Set(["message", ...types])) {
      source.addEventListener(type, (event) => {
        const { data, lastEventId } = event as MessageEvent<string>;
        told.push([type, data, lastEventId]);
        if (told.length === count) done();
      });
    }
    source.onerror = done;
  });
}

/** What ours makes of it. */
async function ours(url: string, count = Infinity): Promise<Told[]> {
  const watched = connect({ url });
  await expect.poll(() => watched.lost > 0 || watched.events.length >= count).toBe(true);
  watched.client.destroy();
  return watched.events.map(({ type, text, id }) => [type, text, id]);
}

/** What a browser has no limit for, and what is too long to be passed through a script, is left to the tests of the parser. */
const SHORT_ROWS = ROWS.filter(({ chunks, maxEventBytes }) => maxEventBytes === undefined && join(chunks).length < 20_000)
  // Chromium takes nothing more from a stream that begins so; the standard knows no exception.
  .filter(({ name }) => name !== "a mark before a blank line");

describe.each(SHORT_ROWS)("$name", ({ chunks, heard: { events } }) => {
  const types = events.map(([type]) => type);
  const whole = join(chunks);

  test("the browser's own EventSource and ours agree, and are right", async () => {
    const middle = whole.length >> 1;
    for (const pieces of [[whole], [whole.subarray(0, middle), whole.subarray(middle)], chunks]) {
      const body = pieces.map((piece) => ({ hex: hex(piece) }));
      const server = await startScripted({ headers: HEADERS, body });
      expect(await native(server.url, types), "the browser's own").toEqual(events);
      expect(await ours(server.url), "ours").toEqual(events);
    }
  });

  // Where there is an event, it comes without the end of the stream.
  if (events.length === 0) return;
  test("and do so while the stream stays open", async () => {
    const server = await startScripted({ headers: HEADERS, body: [{ hex: hex(whole) }], then: "hang" });
    expect(await native(server.url, types, events.length), "the browser's own").toEqual(events);
    expect(await ours(server.url, events.length), "ours").toEqual(events);
  });
});

describe("the cursor of a reconnect is the browser's own", () => {
  /** The `Last-Event-ID` of each request of the browser's own, then of ours; breaking after each wire. */
  async function cursors(...wires: string[]): Promise<(string | undefined)[][]> {
    const answers = [...wires.map((wire) => ({ headers: HEADERS, body: [`retry:100\n${wire}`] })), { status: 204 }];
    const all: (string | undefined)[][] = [];
    for (const open of [(url: string) => ({ end: new EventSource(url) }), (url: string) => ({ end: connect({ url, clock: undefined }).client })]) {
      const server = await startScripted(...answers);
      const { end } = open(server.url);
      await expect.poll(() => server.requests().then((requests) => requests.length)).toBe(answers.length);
      end.close();
      all.push((await server.requests()).map(({ headers }) => headers["last-event-id"]));
    }
    return all;
  }

  test.each<[string, string[], (string | undefined)[]]>([
    ["22: taken back", ["id: 1\ndata:1\n\nid:\ndata:2\n\n"], [undefined, undefined]],
    ["23: NUL", ["id:1\ndata:0\n\nid: x\0y\ndata:h\n\n"], [undefined, "1"]],
    ["24: an id without data", ["id:9\n\n"], [undefined, "9"]],
    ["25: a third connection", ["id:7\ndata:a\n\n", "data:b\n\n"], [undefined, "7", "7"]],
    ["26: cut off", ["id:a\ndata:x\n\nid:b\ndata:y"], [undefined, "a"]],
    ["27: UTF-8", ["id:é☃\ndata:x\n\n"], [undefined, "\u00c3\u00a9\u00e2\u0098\u0083"]],
  ])("%s", async (_, wires, expected) => {
    const [own, our] = await cursors(...wires);
    expect(own, "the browser's own").toEqual(expected);
    expect(our, "ours").toEqual(expected);
  });
});

test("another charset is fatal for both", async () => {
  const server = await startScripted({ ...broken("data:a\n\n"), headers: { "content-type": "text/event-stream;charset=iso-8859-1" } });
  const source = new EventSource(server.url);
  await expect.poll(() => source.readyState).toBe(EventSource.CLOSED);
  const watched = connect({ url: server.url });
  await watched.until("error");
  expect(watched.errors).toMatchObject([{ kind: "protocol" }]);
});
