import { expect, test } from "vitest";
import { stream } from "../kit/answers.ts";

import { connect } from "../kit/watch.ts";
import { startHub, startScripted } from "../kit/remote.ts";

test("an event comes", async () => {
  const server = await startScripted(stream("data: a\n\n"));
  const client = connect({ url: server.url });
  await client.receive(1);
  expect(client.texts).toEqual(["a"]);
  expect(await server.open()).toBe(1);
});
test("hub", async () => {
  const hub = await startHub();
  const client = connect({ baseUrl: hub.url, sessionId: "s" });
  await client.until("open");
  await hub.publish("s", ["x"]);
  await client.receive(1);
});
