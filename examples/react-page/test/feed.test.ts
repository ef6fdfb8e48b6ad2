import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { startFeed } from "../scripts/feed.mjs";

interface Asked {
  readonly key: string;
  readonly n: number;
  readonly body: string;
}

/** A hub that answers as it is told, and what it was asked so far. */
async function fakeHub(answer: (response: ServerResponse, asked: Asked, all: readonly Asked[]) => void) {
  const all: Asked[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => (body += part));
    request.on("end", () => {
      const { n } = (JSON.parse(body) as { data: { n: number } }).data;
      const asked = { key: String(request.headers["idempotency-key"]), n, body };
      all.push(asked);
      answer(response, asked, all);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { hub: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, all };
}

test("asks again with the same key and the same words until it is answered, and only then goes on", async () => {
  const { hub, all } = await fakeHub((response, { n }, before) => {
    const tries = before.filter((asked) => asked.n === n).length;
    // The second update is taken by a hub that dies before it says so, then refused by one that is not ready yet.
    if (n === 2 && tries === 1) response.destroy();
    else if (n === 2 && tries === 2) response.writeHead(503).end("{}");
    else response.writeHead(202).end("{}");
  });
  const feed = startFeed({ hub, session: "a b", rate: 1_000, log: () => {} });
  await expect.poll(feed.published).toBeGreaterThan(4);
  await feed.stop();
  expect(all.slice(0, 6).map(({ n }) => n)).toEqual([1, 2, 2, 2, 3, 4]);
  const second = all.filter(({ n }) => n === 2);
  expect(new Set(second.map(({ key }) => key)).size).toBe(1);
  expect(new Set(second.map(({ body }) => body)).size).toBe(1);
  expect(new Set(all.map(({ key }) => key)).size).toBe(new Set(all.map(({ n }) => n)).size);
});

test("gives up where asking again cannot help, and says what the hub said", async () => {
  const { hub } = await fakeHub((response) => response.writeHead(413).end("too large"));
  await expect(startFeed({ hub, session: "s", rate: 10, log: () => {} }).done).rejects.toThrow("413: too large");
});

test("stops while nobody answers", async () => {
  const { hub, all } = await fakeHub((response) => response.writeHead(503).end());
  const feed = startFeed({ hub, session: "s", rate: 10, log: () => {} });
  await expect.poll(() => all.length).toBeGreaterThan(2);
  await feed.stop();
  expect(feed.published()).toBe(0);
});
