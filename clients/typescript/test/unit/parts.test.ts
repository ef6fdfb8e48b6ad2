import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { checkEventStream, refusal, retryAfter } from "../../src/answer.ts";
import { readData } from "../../src/data.ts";
import { createHandlers } from "../../src/handlers.ts";
import { headerOf, isRepeat } from "../../src/cursor.ts";
import { sessionUrl } from "../../src/request.ts";
import { countingSignal } from "../kit/signal.ts";

describe("Retry-After", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  const read = (told: string): number | undefined => retryAfter(new Headers({ "retry-after": told }), now);

  test("in seconds", () => expect([read("0"), read("7"), read("120")]).toEqual([0, 7_000, 120_000]));
  test("as a date", () => expect(read("Sat, 21 Nov 2026 12:00:30 GMT")).toBe(30_000));
  test("as a date that is over", () => expect(read("Sat, 21 Nov 2026 11:59:00 GMT")).toBeLessThanOrEqual(0));
  test.each(["soon", "", "1.5s"])("%j says nothing", (told) => expect(read(told)).toBeUndefined());
  test("missing", () => expect(retryAfter(new Headers(), now)).toBeUndefined());
});

describe("a refusal", () => {
  const response = (status: number): Response => new Response(null, { status, statusText: "Text" });

  test("carries the words and the code of its problem document", () => {
    const error = refusal(response(503), '{"title":"T","detail":"no place","code":"TOO_MANY_CONNECTIONS"}', 0);
    expect(error).toMatchObject({ kind: "http", status: 503, code: "TOO_MANY_CONNECTIONS", retryable: true });
    expect(error.message).toContain("no place");
  });

  test.each(["", "<html>", "null", "[]", "7", '"x"', '{"code":null}'])("with the body %j is worded by its status", (body) => {
    expect(refusal(response(404), body, 0)).toMatchObject({ kind: "http", status: 404, retryable: false });
  });

  test.each([408, 425, 429, 500, 502, 503, 504, 599])("%d is worth another try", (status) => {
    expect(refusal(response(status), "", 0).retryable).toBe(true);
  });

  test.each([400, 401, 402, 403, 404, 405, 406, 409, 410, 413, 422, 426, 428, 431, 451])("%d is not", (status) => {
    expect(refusal(response(status), "", 0).retryable).toBe(false);
  });
});

describe("an event stream", () => {
  const check = (type: string | null, status = 200) => (): void =>
    checkEventStream({ status, headers: new Headers(type === null ? {} : { "content-type": type }) } as Response);

  test.each([
    "text/event-stream",
    "TEXT/Event-Stream",
    "text/event-stream;",
    "text/event-stream ; charset=utf-8",
    "text/event-stream;charset=UTF-8",
    'text/event-stream; charset="utf-8"',
    "text/event-stream; charset=utf8",
    "text/event-stream; foo=bar",
  ])("is %s", (type) => expect(check(type)).not.toThrow());

  test.each([
    "text/event-streamX",
    "text/event-stream-x",
    "application/json",
    "text/html; x=text/event-stream",
    "text/event-stream; charset=iso-8859-1",
    'text/event-stream; charset="windows-1252"',
    "text/event-stream;charset=utf-16",
    "text/event-stream; charset=utf-8859",
    "",
    null,
  ])("is not %s", (type) => expect(check(type)).toThrow(expect.objectContaining({ kind: "protocol", retryable: false })));

  test.each([201, 202, 205, 206, 299])("does not come with %d", (status) => {
    expect(check("text/event-stream", status)).toThrow(expect.objectContaining({ kind: "protocol", status }));
  });
});

describe("27: an id as a header", () => {
  test("carries the bytes of its UTF-8, and no header refuses it", () => {
    expect(headerOf("é☃")).toBe("\xc3\xa9\xe2\x98\x83");
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (id) => {
        const value = headerOf(id);
        expect(() => new Headers({ "last-event-id": value })).not.toThrow();
        const bytes = Uint8Array.from(value, (character) => character.charCodeAt(0));
        if (value) expect(bytes).toEqual(new TextEncoder().encode(id));
      }),
      { numRuns: 2_000 },
    );
  });

  test.each(["a\rb", "a\nb", "a\0b", "\x01", "\x7f", "x".repeat(1_025), "☃".repeat(400), "x".repeat(1_000_000)])(
    "that none can carry is left out (%#)",
    (id) => expect(headerOf(id)).toBe(""),
  );
});

test("where a session is", () => {
  expect(sessionUrl({ baseUrl: "http://hub//", sessionId: "a/b c" })).toBe("http://hub/sessions/a%2Fb%20c/events");
  expect(sessionUrl({ sessionId: "s" })).toBe("/sessions/s/events");
  expect(() => sessionUrl({})).toThrow(TypeError);
  expect(sessionUrl({ sessionId: "..." })).toBe("/sessions/.../events");
  for (const sessionId of [".", ".."]) expect(() => sessionUrl({ sessionId })).toThrow(TypeError);
});

describe("a repeat", () => {
  const epoch = "0123456789ab";
  test("is an id of the same epoch that is not newer", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 18n }), fc.bigInt({ min: 0n, max: 10n ** 18n }), (one, other) => {
        expect(isRepeat(`${epoch}-${one}`, `${epoch}-${other}`)).toBe(one <= other);
      }),
    );
  });

  test.each([
    ["a foreign id", "17", "18"],
    ["another epoch", `${epoch}-1`, "ba9876543210-5"],
    ["no id before", `${epoch}-1`, ""],
    ["an id that only resembles one", `${epoch}-1x`, `${epoch}-5`],
    ["an equal foreign id", "x", "x"],
  ])("is not %s", (_, id, last) => expect(isRepeat(id, last)).toBe(false));
});

describe("handlers", () => {
  test("the same function twice is two registrations, each with its own way out", () => {
    const handlers = createHandlers((call) => call());
    const handler = vi.fn();
    const [first, second] = [handlers.add("a", handler), handlers.add("a", handler)];
    handlers.call("a");
    expect(handler).toHaveBeenCalledTimes(2);
    first();
    first();
    handlers.call("a");
    expect(handler).toHaveBeenCalledTimes(3);
    second();
    expect(handlers.has("a")).toBe(false);
  });

  test("one that went meanwhile is not called, one that came meanwhile only next time", () => {
    const handlers = createHandlers((call) => call());
    const late = vi.fn();
    const gone = vi.fn();
    let offs: (() => void)[] = [];
    offs.push(handlers.add("a", () => (offs[1]?.(), offs.push(handlers.add("a", late)))));
    offs.push(handlers.add("a", gone));
    handlers.call("a");
    expect([gone.mock.calls.length, late.mock.calls.length]).toEqual([0, 0]);
    handlers.call("a");
    expect(late).toHaveBeenCalledTimes(1);
    handlers.clear();
    offs = [];
    expect(handlers.has("a")).toBe(false);
  });

  test("row d: one that throws is told of, and stops nobody", () => {
    const next = vi.fn();
    const failed = vi.fn();
    const guard = (call: () => unknown): void => {
      try {
        call();
      } catch (thrown) {
        failed(thrown);
      }
    };
    const handlers = createHandlers(guard);
    const problem = new Error("x");
    handlers.add("a", () => {
      throw problem;
    });
    handlers.add("a", next);
    handlers.call("a", 1);
    expect(failed).toHaveBeenCalledExactlyOnceWith(problem);
    expect(next).toHaveBeenCalledExactlyOnceWith(1);
    handlers.clear();
  });

  test("once is once, even when the handler sets off the next event", () => {
    const handlers = createHandlers((call) => call());
    const handler = vi.fn(() => handlers.call("a"));
    handlers.add("a", handler, { once: true });
    handlers.call("a");
    expect(handler).toHaveBeenCalledTimes(1);
  });

  test("a signal takes a handler back, and no listener stays on a signal", () => {
    const handlers = createHandlers((call) => call());
    const { signal, abort, listeners } = countingSignal();
    const handler = vi.fn();
    handlers.add("a", handler, { signal })();
    expect(listeners()).toBe(0);
    handlers.add("a", handler, { signal });
    expect(listeners()).toBe(1);
    abort();
    handlers.add("a", handler, { signal });
    handlers.call("a");
    expect(handler).not.toHaveBeenCalled();
    expect(listeners()).toBe(0);
  });

  test("names of Object.prototype are types like any other", () => {
    const handlers = createHandlers((call) => call());
    handlers.call("__proto__");
    expect(handlers.has("constructor")).toBe(false);
  });
});

describe("data", () => {
  test.each([
    ['{"a":1}', { a: 1 }],
    ["[1]", [1]],
    ["12", 12],
    ["-1.5", -1.5],
    ["true", true],
    ["null", null],
    ['"x"', "x"],
    [" 7", 7],
    ["hello", "hello"],
    ["{broken", "{broken"],
    ["12 apples", "12 apples"],
    ["", ""],
  ])("%j is %j", (text, data) => expect(readData(text)).toEqual(data));

  test("nothing of it writes to prototypes", () => {
    readData('{"__proto__":{"polluted":true}}');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test("a parser of the application is given the text, a schema the JSON value", () => {
    expect(readData("1,2", (text: string) => text.split(","))).toEqual(["1", "2"]);
    expect(readData('{"n":1}', { parse: (value: unknown) => [value] })).toEqual([{ n: 1 }]);
  });

  test("a standard schema is given the JSON value, be it an object or a function, and its words are in the error", async () => {
    const [{ z }, v, { type: ark }] = await Promise.all([import("zod"), import("valibot"), import("arktype")]);
    for (const schema of [z.object({ n: z.number() }), v.object({ n: v.number() }), ark({ n: "number" })]) {
      expect(readData('{"n":1}', schema)).toEqual({ n: 1 });
      expect(() => readData('{"n":"x"}', schema)).toThrow(/number/i);
    }
    const later = { "~standard": { validate: async (value: unknown) => ({ value }) } };
    expect(() => readData("1", later)).toThrow(TypeError);
  });
});
