import { once } from "node:events";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import fastify, { type FastifyInstance } from "fastify";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Relays } from "../api/relay.ts";

// A relay by itself: before it a client, behind it a server that does what a test tells it.

let hub: Server;
/** Streams that are open at the hub, and what they were asked with. */
let streams: { readonly request: IncomingMessage; readonly response: ServerResponse }[];
let relays: Relays;
let app: FastifyInstance;
let url: string;

beforeEach(async () => {
  streams = [];
  hub = createServer((request, response) => {
    streams.push({ request, response });
    response.once("close", () => (streams = streams.filter((one) => one.response !== response)));
    if (request.url?.startsWith("/refuses")) {
      response.writeHead(403, { "content-type": "application/problem+json", "www-authenticate": "Bearer" }).end('{"code":"FORBIDDEN"}');
    } else {
      response.writeHead(200, { "content-type": "text/event-stream", "heartbeat-interval": "15", "x-inner": "secret" });
      response.write(": watertight\n\n");
    }
  }).listen(0, "127.0.0.1");
  await once(hub, "listening");
  relays = new Relays();
  app = fastify();
  const base = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
  app.get("/*", (request, reply) => {
    relays.begin(request, reply, new URL(base + request.url), "a-token");
    return reply;
  });
  url = await app.listen({ host: "127.0.0.1", port: 0 });
});

afterEach(async () => {
  relays.stop();
  await app.close();
  hub.closeAllConnections();
  hub.close();
  await expect.poll(() => [relays.live, streams.length]).toEqual([0, 0]);
});

async function open(path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const asked = request(url + path, { headers, agent: false }).end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  return answer;
}

async function text(answer: IncomingMessage): Promise<string> {
  let all = "";
  for await (const chunk of answer.setEncoding("utf8")) all += chunk;
  return all;
}

test("what the hub sends is there at once, byte by byte, and nothing else of its answer is passed on", async () => {
  const answer = await open("/stream?replay=all", { "last-event-id": "e-7", accept: "text/event-stream", cookie: "deployments=secret" });
  const [first] = (await once(answer.setEncoding("utf8"), "data")) as [string];
  expect(first).toBe(": watertight\n\n");
  expect(answer.headers).toMatchObject({ "content-type": "text/event-stream", "heartbeat-interval": "15" });
  expect(answer.headers["x-inner"]).toBeUndefined();
  const { request: asked, response } = streams[0]!;
  expect([asked.url, asked.headers["last-event-id"], asked.headers["accept"]]).toEqual(["/stream?replay=all", "e-7", "text/event-stream"]);
  expect([asked.headers["authorization"], asked.headers["cookie"]]).toEqual(["Bearer a-token", undefined]);
  for (const part of ["id: e-8\nda", "ta: ü", "\n\n"]) {
    response.write(part);
    const [came] = (await once(answer, "data")) as [string];
    expect(came).toBe(part);
  }
  const [rest] = await Promise.all([text(answer), response.end("event: error\ndata: {}\n\n")]);
  expect(rest).toBe("event: error\ndata: {}\n\n");
  expect(answer.complete).toBe(true);
});

test("a page that leaves ends the hub's stream at once, however it leaves", async () => {
  for (const leave of [(it: IncomingMessage) => it.destroy(), (it: IncomingMessage) => void it.socket.resetAndDestroy()]) {
    const answer = await open("/stream");
    answer.on("error", () => {});
    await once(answer, "data");
    expect([relays.live, streams.length]).toEqual([1, 1]);
    const left = performance.now();
    leave(answer);
    await expect.poll(() => [relays.live, streams.length], { interval: 2 }).toEqual([0, 0]);
    // And not when the hub is found to be silent, after 75 s.
    expect(performance.now() - left).toBeLessThan(10_000);
  }
});

test("a page that leaves before the hub has answered leaves nothing", async () => {
  hub.removeAllListeners("request");
  const asked: IncomingMessage[] = [];
  hub.on("request", (request: IncomingMessage) => {
    asked.push(request);
    request.socket.once("close", () => asked.splice(asked.indexOf(request), 1));
  });
  const leaving = request(`${url}/stream`, { agent: false }).end();
  leaving.on("error", () => {});
  await expect.poll(() => asked.length).toBe(1);
  leaving.destroy();
  await expect.poll(() => [relays.live, asked.length]).toEqual([0, 0]);
});

test("a stream that the hub breaks off breaks off in the page, too: it is not taken for a whole one", async () => {
  const answer = await open("/stream");
  await once(answer, "data");
  streams[0]!.response.destroy();
  await expect(text(answer)).rejects.toThrow("aborted");
  expect(answer.complete).toBe(false);
});

test("a refusal of the hub is passed on, and no hub is a refusal that may pass", async () => {
  const refused = await open("/refuses");
  expect([refused.statusCode, await text(refused)]).toEqual([403, '{"code":"FORBIDDEN"}']);
  expect(refused.headers["www-authenticate"]).toBeUndefined();
  hub.closeAllConnections();
  hub.close();
  await once(hub, "close");
  const away = await open("/stream");
  expect([away.statusCode, away.headers["retry-after"], JSON.parse(await text(away)).code]).toEqual([503, "1", "HUB_UNAVAILABLE"]);
});

test("a page that does not read holds the hub back, and nothing grows here", async () => {
  const asked = request(`${url}/stream`, { agent: false }).end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  answer.pause();
  await expect.poll(() => streams.length).toBe(1);
  const { response } = streams[0]!;
  const before = process.memoryUsage();
  const block = Buffer.alloc(64 * 1024, "x");
  // Until nobody takes any more: what is under way lies in the buffers of the system.
  const most = 64 * 1024 * 1024;
  let sent = 0;
  let isTaken = true;
  while (isTaken && sent < most) {
    sent += block.length;
    if (!response.write(block)) isTaken = await Promise.race([once(response, "drain").then(() => true), sleep(1_000, false)]);
  }
  expect(sent).toBeLessThan(most);
  const { arrayBuffers } = process.memoryUsage();
  // What was passed on already and is not collected yet; not all that was sent.
  expect(arrayBuffers - before.arrayBuffers).toBeLessThan(most / 4);
  answer.destroy();
  await expect.poll(() => [relays.live, streams.length]).toEqual([0, 0]);
});

test("a thousand pages that come and go leave nothing behind", async () => {
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(Array.from({ length: 100 }, () => open("/stream")));
    expect(relays.live).toBe(100);
    for (const answer of answers) answer.on("error", () => {}).destroy();
    await expect.poll(() => [relays.live, streams.length]).toEqual([0, 0]);
  }
  expect(relays.opened).toBe(1_000);
});

test("whoever stops the API breaks all of them off", async () => {
  const answers = await Promise.all(Array.from({ length: 5 }, () => open("/stream")));
  const ended = answers.map((answer) => text(answer).then(() => "whole", () => "broken off"));
  relays.stop();
  expect(await Promise.all(ended)).toEqual(Array(5).fill("broken off"));
});
