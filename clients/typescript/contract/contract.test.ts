import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bytesOf } from "../test/kit/wire.ts";
import { Harness } from "./harness.ts";
import { SERVICES } from "./services.ts";

const BOM = [0xef, 0xbb, 0xbf];

describe.each(Object.entries(SERVICES))("the %s service", (_, start) => {
  const harness = new Harness();
  beforeAll(() => start(harness), 1_200_000);
  afterEach(() => harness.endClients());
  afterAll(async () => expect(await harness.stop()).toBe(0));

  /** A client that gets these bytes and reports what it hears. */
  async function hearing(...wire: (string | number[])[]): Promise<Awaited<ReturnType<Harness["client"]>>> {
    const client = await harness.client();
    (await client.connection()).send(bytesOf(wire));
    return client;
  }

  describe("itself", () => {
    test("says who it is and what it can do", async () => {
      const answer = await harness.call("GET", "/");
      expect(answer.status).toBe(200);
      const about = (await answer.json()) as { name: string; capabilities: string[] };
      expect(about.name).not.toBe("");
      expect([...about.capabilities].sort()).toEqual([
        "bom",
        "comments",
        "headers",
        "last-event-id",
        "payload-size-stress-testable",
        "post",
        "read-timeout",
        "report",
        "restart",
        "server-directed-shutdown-request",
      ]);
    });

    test.each([
      ["no JSON", "{"],
      ["nothing", ""],
      ["no object", "[]"],
      ["no callbackUrl", { streamUrl: "http://127.0.0.1:1/" }],
      ["no streamUrl", { callbackUrl: "http://127.0.0.1:1/" }],
      ["a delay that is no number", { streamUrl: "http://127.0.0.1:1/", callbackUrl: "http://127.0.0.1:1/", initialDelayMs: "1" }],
    ])("refuses %s with 400", async (_, body) => {
      expect((await harness.call("POST", "/", body)).status).toBe(400);
    });

    test("does not know a command that it does not know, or a stream that is none", async () => {
      const client = await harness.client();
      expect((await harness.call("POST", client.location, { command: "dance" })).status).toBe(400);
      expect((await harness.call("POST", "/streams/none", { command: "restart" })).status).toBe(404);
      expect((await harness.call("DELETE", "/streams/none")).status).toBe(404);
    });

    test("takes null for what is not there", async () => {
      const client = await harness.client({ readTimeoutMs: null, headers: null, method: null, body: null, lastEventId: null });
      expect((await client.connection()).method).toBe("GET");
    });
  });

  describe("parsing", () => {
    test("only one leading space goes", async () => {
      expect(await (await hearing("data:  Hello \n\n")).data()).toBe(" Hello ");
    });
    test("an id is kept for the events after it, and one with NUL is ignored", async () => {
      const client = await hearing("id: 1\ndata: a\n\ndata: b\n\nid: x\0y\ndata: c\n\n");
      expect([await client.event(), await client.event(), await client.event()]).toEqual([
        ["message", "a", "1"],
        ["message", "b", "1"],
        ["message", "c", "1"],
      ]);
    });
    test("bytes that are no UTF-8", async () => {
      expect(await (await hearing("data: a", [0xff], "b\n\n")).data()).toBe("a\ufffdb");
    });
    test("a large message, and many small ones", async () => {
      const client = await hearing(`data: ${"x".repeat(5_000_000)}\n\n`, "data: y\n\n".repeat(100));
      expect((await client.data()).length).toBe(5_000_000);
      for (let count = 0; count < 100; count++) expect(await client.data()).toBe("y");
    });
  });

  describe.each([
    ["LF", "\n"],
    ["CR", "\r"],
    ["CRLF", "\r\n"],
  ])("lines ended by %s", (_, end) => {
    const wire = ["event: greeting", "data: Hello", "", ": comment", "data: a", "data: b", "", ""].join(end);
    const check = async (client: Awaited<ReturnType<Harness["client"]>>): Promise<void> => {
      expect(await client.event()).toEqual(["greeting", "Hello", ""]);
      expect(await client.comment()).toBe(" comment");
      expect(await client.event()).toEqual(["message", "a\nb", ""]);
    };
    test("in one chunk, without waiting for more", async () => check(await hearing(wire)));
    test("cut at each end of a line", async () => {
      const client = await harness.client();
      await (await client.connection()).trickle(...wire.split(/(?<=[\r\n])/));
      await check(client);
      expect(client.unread).toBe(0);
    });
    test("each at the start of a chunk", async () => {
      const client = await harness.client();
      await (await client.connection()).trickle(...wire.split(/(?=[\r\n])/));
      await check(client);
      expect(client.unread).toBe(0);
    });
  });

  describe("a byte order mark", () => {
    test("later is part of the line", async () => {
      const client = await hearing("data: a", BOM, "\n\n", BOM, "data: b\n\ndata: c\n\n");
      expect([await client.data(), await client.data()]).toEqual(["a\ufeff", "c"]);
    });
    test("of a second connection goes as well", async () => {
      const client = await harness.client();
      const first = await client.connection();
      first.send(bytesOf([BOM, "data: a\n\n"]));
      expect(await client.data()).toBe("a");
      first.end();
      (await client.comesBack()).send(bytesOf([BOM, "data: b\n\n"]));
      expect(await client.data()).toBe("b");
    });
  });

  describe("comments", () => {
    test("come exactly as they stand after the colon", async () => {
      const client = await hearing(":one\n: two \n:\n:a:b\ndata: Hello\n\n");
      expect([await client.comment(), await client.comment(), await client.comment(), await client.comment()]).toEqual([
        "one",
        " two ",
        "",
        "a:b",
      ]);
      expect(await client.data()).toBe("Hello");
    });
    test("within an event do not part it", async () => {
      const client = await hearing("data: a\n:c\ndata: b\n\n");
      expect(await client.comment()).toBe("c");
      expect(await client.data()).toBe("a\nb");
    });
    test("a field of that name is none", async () => {
      expect(await (await hearing("comment: x\ndata: a\n\n")).data()).toBe("a");
    });
  });

  describe("HTTP", () => {
    test("custom headers, on the way back, too", async () => {
      const client = await harness.client({ headers: { "header-name-1": "value-1", "header-name-2": "value-2" } });
      const first = await client.connection();
      expect(first.headers).toMatchObject({ "header-name-1": "value-1", "header-name-2": "value-2" });
      first.end();
      expect((await client.comesBack()).headers).toMatchObject({ "header-name-1": "value-1", "header-name-2": "value-2" });
    });
    test.each([301, 307])("%d is followed, with the custom headers", async (status) => {
      const client = await harness.client({ headers: { "x-name": "value" } });
      (await client.connection()).refuse(status, { location: `${client.streamUrl}/moved` });
      const moved = await client.connection();
      expect(moved.path).toMatch(/\/moved$/);
      expect(moved.headers).toMatchObject({ "x-name": "value", accept: "text/event-stream" });
      moved.send("data: Hello\n\n");
      expect(await client.data()).toBe("Hello");
    });
    test("a relative Location is followed", async () => {
      const client = await harness.client();
      (await client.connection()).refuse(307, { location: `${new URL(client.streamUrl).pathname}/moved` });
      (await client.connection()).send("data: Hello\n\n");
      expect(await client.data()).toBe("Hello");
    });
    test("500 is an error, and it comes back", async () => {
      const client = await harness.client();
      (await client.connection()).refuse(500);
      await client.error();
      (await client.connection()).send("data: Hello\n\n");
      expect(await client.data()).toBe("Hello");
    });
    test.each([400, 404])("%d is an error", async (status) => {
      const client = await harness.client();
      (await client.connection()).refuse(status);
      await client.error();
    });
    test("204 is the end, on the way back as well", async () => {
      const client = await harness.client();
      const other = await harness.client();
      const first = await client.connection();
      first.send("data: a\n\n");
      expect(await client.data()).toBe("a");
      first.end();
      (await client.comesBack()).refuse(204);
      // Another client comes back three times meanwhile, and so would this one.
      for (let turn = 0; turn < 3; turn++) {
        const connection = await other.comesBack();
        connection.send(`data: ${turn}\n\n`);
        await expect.poll(() => other.messages.some(({ event }) => event?.data === String(turn))).toBe(true);
        connection.end();
      }
      expect(client.connections).toHaveLength(2);
    });
  });

  describe("coming back", () => {
    test("with the id of the last event", async () => {
      const client = await harness.client();
      const first = await client.connection();
      expect(first.headers).not.toHaveProperty("last-event-id");
      first.send("id: abc\ndata: Hello\n\ndata: World\n\n");
      expect([await client.data(), await client.data()]).toEqual(["Hello", "World"]);
      first.end();
      const second = await client.comesBack();
      expect(second.headers["last-event-id"]).toBe("abc");
      second.end();
      expect((await client.comesBack()).headers["last-event-id"]).toBe("abc");
    });
    test("with the id that it was given, until there is another", async () => {
      const client = await harness.client({ lastEventId: "start" });
      const first = await client.connection();
      expect(first.headers["last-event-id"]).toBe("start");
      first.end();
      const second = await client.comesBack();
      expect(second.headers["last-event-id"]).toBe("start");
      second.send("id: next\ndata: a\n\n");
      expect(await client.event()).toEqual(["message", "a", "next"]);
      second.end();
      expect((await client.comesBack()).headers["last-event-id"]).toBe("next");
    });
    test("without the id of an event that was cut off", async () => {
      const client = await harness.client();
      const first = await client.connection();
      first.send("id: a\ndata: x\n\nid: b\ndata: y\n");
      expect(await client.data()).toBe("x");
      first.end();
      expect((await client.comesBack()).headers["last-event-id"]).toBe("a");
    });
    test("after a read time-out, which is an error", async () => {
      const client = await harness.client({ readTimeoutMs: 500 });
      const first = await client.connection();
      first.send("data: Hello\n\n");
      expect(await client.data()).toBe("Hello");
      await client.error();
      (await client.connection()).send("data: again\n\n");
      expect(await client.data()).toBe("again");
      await expect.poll(() => first.isOpen).toBe(false);
    });
    test("when it is told to restart, which is no error", async () => {
      const client = await harness.client();
      const first = await client.connection();
      first.send("id: 1\ndata: Hello\n\n");
      expect(await client.data()).toBe("Hello");
      const answer = await harness.restart(client);
      expect(answer.ok).toBe(true);
      const second = await client.connection();
      expect(second.headers["last-event-id"]).toBe("1");
      second.send("data: Thanks\n\n");
      expect(await client.data()).toBe("Thanks");
      await expect.poll(() => first.isOpen).toBe(false);
    });
  });
});
