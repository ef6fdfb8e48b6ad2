import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { call, CallError, explain, sayOutcome } from "../src/call.ts";

test("a refusal says what to do about it", () => {
  expect(explain({ status: 404, code: "NOT_FOUND", message: "" })).toContain("admin_listen");
  expect(explain({ status: 404, code: "SESSION_NOT_FOUND", message: "no session" })).toBe("no session");
  expect(explain({ status: 403, code: "FORBIDDEN", message: "no" })).toContain("admin");
  expect(explain({ status: 401, code: "INVALID_TOKEN", message: "" })).toContain("sign in");
});

test("what a button did is not said to be done again", () => {
  for (const status of [0, 429, 503]) {
    const error = new CallError(status, "", "later");
    expect(explain(error)).toContain("asked again by itself");
    expect(sayOutcome(error)).not.toContain("again");
  }
  expect(sayOutcome(new CallError(0, "", "gone"))).toContain("not known");
  expect(sayOutcome(new CallError(404, "CONNECTION_NOT_FOUND", "there is no such connection"))).toBe("there is no such connection");
});

describe("a call of a hub that does not answer", () => {
  const silent = async (answer: (response: ServerResponse) => void): Promise<string> => {
    const server = createServer((_, response) => answer(response)).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  test.each([
    ["at all", () => {}],
    ["to its end", (response: ServerResponse) => response.writeHead(200, { "content-type": "application/json" }).write("{")],
  ] as const)("%s ends in time, and says so", async (_, answer) => {
    const failed = call(await silent(answer), null, "stats", { patience: 50 });
    await expect(failed).rejects.toMatchObject({ name: "CallError", status: 0, message: "no answer within 0.05 s" });
    expect(explain(await failed.catch((error: CallError) => error) as CallError)).toContain("did not answer");
  });

  test("ends at once when nobody waits for it any more", async () => {
    const ended = new AbortController();
    const failed = call(await silent(() => ended.abort()), null, "stats", { signal: ended.signal });
    await expect(failed).rejects.toMatchObject({ name: "AbortError" });
  });
});
