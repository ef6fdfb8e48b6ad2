import { describe, expect, test } from "vitest";
import { EventSource, type EventSourceErrorEvent } from "../../src/eventsource.ts";
import { ledger } from "../../src/ledger.ts";
import { broken, ended, refused, stream } from "../kit/answers.ts";
import { serve } from "../kit/servers.ts";

/** What a source dispatched, in order. */
function listen(source: EventSource, ...types: string[]): string[] {
  const log: string[] = [];
  for (const type of ["open", "message", "error", ...types]) {
    source.addEventListener(type, (event) => {
      log.push(event instanceof MessageEvent ? `${event.type} ${event.lastEventId}:${String(event.data)}` : `${event.type} ${source.readyState}`);
    });
  }
  return log;
}

describe("EventSource", () => {
  test("is connecting, then open, and tells events by their type with the id that was last", async () => {
    const server = await serve(stream("id:1\ndata:a\n\nevent:tick\ndata:b\n\ndata:{\"n\":1}\n\n"));
    const source = new EventSource(server.url);
    expect(source.readyState).toBe(EventSource.CONNECTING);
    expect([source.CONNECTING, source.OPEN, source.CLOSED, EventSource.OPEN, EventSource.CLOSED]).toEqual([0, 1, 2, 1, 2]);
    const log = listen(source, "tick");
    await expect.poll(() => log).toEqual(["open 1", "message 1:a", "tick 1:b", 'message 1:{"n":1}']);
    expect(source.url).toBe(server.url);
    expect(source.withCredentials).toBe(false);
    source.close();
    expect(source.readyState).toBe(EventSource.CLOSED);
  });

  test("carries the origin of its stream in each message", async () => {
    const server = await serve(stream("data:a\n\n"));
    const origins: string[] = [];
    const source = new EventSource(new URL(server.url));
    source.onmessage = ({ origin }) => origins.push(origin);
    await expect.poll(() => origins).toEqual([new URL(server.url).origin]);
    source.close();
  });

  test("comes back after the end of its stream: an error while connecting, then open again", async () => {
    const server = await serve(ended("retry:1\ndata:a\n\n"), broken("data:b\n\n"), stream("data:c\n\n"));
    const source = new EventSource(server.url, { random: () => 0 });
    const log = listen(source);
    await expect.poll(() => log.at(-1)).toBe("message :c");
    expect(log).toEqual(["open 1", "message :a", "error 0", "open 1", "message :b", "error 0", "open 1", "message :c"]);
    source.close();
  });

  test.each([204, 404, 401, 200])("is closed for good by %d without a stream", async (status) => {
    const server = await serve(refused(status));
    const source = new EventSource(server.url);
    const errors: EventSourceErrorEvent[] = [];
    source.onerror = (event) => errors.push(event as EventSourceErrorEvent);
    await expect.poll(() => source.readyState).toBe(EventSource.CLOSED);
    expect(errors).toHaveLength(1);
    expect(errors[0]?.error?.status ?? null).toBe(status === 204 ? null : status);
    await server.barrier();
    expect(server.requests).toHaveLength(1);
    source.close();
  });

  test("row g: closed in a handler, with three events in a chunk, dispatches nothing more", async () => {
    const server = await serve(stream("data:1\n\ndata:2\n\ndata:3\n\n"));
    const source = new EventSource(server.url);
    const log = listen(source);
    let calls = 0;
    source.onmessage = () => {
      calls++;
      source.close();
      source.close();
    };
    await expect.poll(() => calls).toBe(1);
    await expect.poll(() => server.open).toBe(0);
    expect(log.filter((line) => line.startsWith("message"))).toHaveLength(1);
    expect(log.some((line) => line.startsWith("error"))).toBe(false);
    expect(ledger.handlers).toBe(0);
  });

  test("takes the settings of a client: headers and a token", async () => {
    const server = await serve(stream("data:a\n\n"));
    using source = new EventSource(server.url, { headers: { "x-a": "b" }, token: () => "t", withCredentials: true });
    const log = listen(source);
    await expect.poll(() => log).toContain("message :a");
    expect(server.requests[0]?.headers).toMatchObject({ "x-a": "b", authorization: "Bearer t" });
    expect(source.withCredentials).toBe(true);
  });

  test("gives the server's own event of type error to who listens for errors, with its data", async () => {
    const server = await serve(stream("event:error\ndata:oops\n\n"));
    const source = new EventSource(server.url);
    const log = listen(source);
    await expect.poll(() => log).toEqual(["open 1", "error :oops"]);
    source.close();
  });

  test("calls a listener that was taken back no more", async () => {
    const server = await serve(stream("data:1\n\n", { wait: "more" }, "data:2\n\n"));
    const source = new EventSource(server.url);
    const seen: unknown[] = [];
    const listener = (event: Event): void => void seen.push((event as MessageEvent).data);
    source.addEventListener("message", listener);
    source.addEventListener("message", listener);
    source.addEventListener("message", (event) => (event as MessageEvent).data === "2" && seen.push("other"));
    await expect.poll(() => seen).toEqual(["1"]);
    source.removeEventListener("message", listener);
    server.release("more");
    await expect.poll(() => seen).toEqual(["1", "other"]);
    source.close();
  });

  test("refuses what is no URL", () => {
    expect(() => new EventSource("http://[")).toThrow(expect.objectContaining({ name: "SyntaxError", constructor: DOMException }));
  });
});
