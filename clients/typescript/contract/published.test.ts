import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { pieces } from "../test/kit/wire.ts";
import { Harness, type Client, type Parameters } from "./harness.ts";
import { SERVICES } from "./services.ts";

// The cases of the public SSE contract tests by their names, against both services. `clients/CONTRACT.md` lists them; those of the
// wire are a table that the Rust client's own harness reads, too.

type Told = [type: string, data: string, id: string] | string;

interface Cases {
  cases: { name: string; chunks: string[]; piece?: number; told: Told[] }[];
  linefeeds: { name: string; lines: string[]; told: Told[] }[];
  payloads: number[];
}

const { cases, linefeeds, payloads } = JSON.parse(
  readFileSync(new URL("../../cases/contract-cases.json", import.meta.url), "utf8"),
) as Cases;

const cut = (chunks: string[], piece: number | undefined): Uint8Array[] => {
  const whole = chunks.map((chunk) => new TextEncoder().encode(chunk));
  return piece ? whole.flatMap((chunk) => [...pieces(chunk, piece)]) : whole;
};

describe.each(Object.entries(SERVICES))("the %s service", (_, start) => {
  const harness = new Harness();
  beforeAll(() => start(harness), 1_200_000);
  afterEach(() => harness.endClients());
  afterAll(async () => expect(await harness.stop()).toBe(0));

  async function expectTold(client: Client, told: readonly Told[]): Promise<void> {
    for (const expected of told) {
      expect(await (typeof expected === "string" ? client.comment() : client.event())).toEqual(expected);
    }
  }

  async function tells(chunks: Uint8Array[], told: readonly Told[]): Promise<void> {
    const client = await harness.client();
    await (await client.connection()).trickle(...chunks);
    await expectTold(client, told);
    expect(client.unread).toBe(0);
  }

  test.each(cases)("$name", ({ chunks, piece, told }) => tells(cut(chunks, piece), told));

  describe.each([
    ["LF", "\n"],
    ["CRLF", "\r\n"],
    ["CR", "\r"],
  ])("linefeeds: %s separator", (_, end) => {
    describe.each(linefeeds)("$name", ({ lines, told }) => {
      const wire = lines.map((line) => line + end);
      test.each([
        ["one chunk", undefined],
        ["1-character chunks", 1],
        ["2-character chunks", 2],
      ])("%s", (_, piece) => tells(cut([wire.join("")], piece), told));
    });
  });

  test.each(payloads)("payload of %d bytes is delivered promptly", async (size) => {
    const client = await harness.client();
    (await client.connection()).send(`data: ${"x".repeat(size)}\n\n`);
    expect((await client.data()).length).toBe(size);
  });

  describe("HTTP behavior", () => {
    test("default method and headers", async () => {
      const { method, headers } = await (await harness.client()).connection();
      expect(method).toBe("GET");
      expect(headers).toMatchObject({ accept: "text/event-stream", "cache-control": "no-cache" });
      expect(headers).not.toHaveProperty("last-event-id");
    });

    test.each([301, 307])("client follows %d redirect", async (status) => {
      const client = await harness.client();
      (await client.connection()).refuse(status, { location: `${client.streamUrl}/moved` });
      (await client.connection()).send("data: one\n\n");
      await expectTold(client, [["message", "one", ""]]);
    });

    test.each([
      ["empty", 301],
      ["missing", 301],
      ["empty", 307],
      ["missing", 307],
    ])("client handles %s Location header with %d status", async (what, status) => {
      const client = await harness.client();
      const headers = what === "empty" ? { location: "" } : undefined;
      // However often it asks the same address again, it says that this is an error.
      const refuseAll = async (): Promise<never> => {
        for (;;) (await client.connection()).refuse(status, headers);
      };
      await Promise.race([client.error(), refuseAll()]);
    });

    test("custom headers", async () => {
      const headers = { "header-name-1": "value-1", "header-name-2": "value-2" };
      expect((await (await harness.client({ headers })).connection()).headers).toMatchObject(headers);
    });

    test.each(["POST", "REPORT"])("%s request; resends request body if any when reconnecting", async (method) => {
      const headers = { "content-type": "application/json; charset=utf-8" };
      const body = '{"a": "b"}';
      const parameters: Parameters = { method, headers, body };
      const client = await harness.client(parameters);
      const first = await client.connection();
      first.end();
      for (const connection of [first, await client.comesBack()]) {
        expect(connection).toMatchObject({ method, body });
        expect(connection.headers).toMatchObject(headers);
      }
    });

    test("sends Last-Event-Id in initial request if set", async () => {
      expect((await (await harness.client({ lastEventId: "a" })).connection()).headers["last-event-id"]).toBe("a");
    });
  });

  describe("reconnection", () => {
    test.each<[string, string, Told[], string | undefined]>([
      ["sends ID of last received event", "id: a\ndata: 1\n\n", [["message", "1", "a"]], "a"],
      [
        "sends ID of last received event that had an ID if later events did not",
        "id: a\ndata: 1\n\ndata: 2\n\n",
        [
          ["message", "1", "a"],
          ["message", "2", "a"],
        ],
        "a",
      ],
      [
        "last event ID can be explicitly overridden with an empty value",
        "id: a\ndata: 1\n\nid: \ndata: 2\n\n",
        [
          ["message", "1", "a"],
          ["message", "2", ""],
        ],
        undefined,
      ],
      ["discards partial messages on retry", "id: a\ndata: 1\n\nid: b\ndata: 2", [["message", "1", "a"]], "a"],
    ])("%s", async (_, wire, told, id) => {
      const client = await harness.client();
      const first = await client.connection();
      expect(first.headers).not.toHaveProperty("last-event-id");
      first.send(wire);
      await expectTold(client, told);
      first.end();
      const second = await client.comesBack();
      expect(second.headers["last-event-id"]).toBe(id);
      second.send("data: again\n\n");
      await expectTold(client, [["message", "again", id ?? ""]]);
    });

    test("new connection established after breaking previous is functional", async () => {
      const client = await harness.client();
      const first = await client.connection();
      first.send("id: a\ndata: 1\n\n");
      await expectTold(client, [["message", "1", "a"]]);
      first.end();
      (await client.comesBack()).send("id: b\ndata: 2\n\n");
      await expectTold(client, [["message", "2", "b"]]);
    });
  });
});
