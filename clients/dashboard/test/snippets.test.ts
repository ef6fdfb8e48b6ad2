import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { jsQuote, sessionShown, shellQuote, snippetsOf, type Snippet } from "../src/model/snippets.ts";

const BASE = "https://events.example.com/hub";
/** Names as somebody would choose them who wants to break out. */
const NAMES = [
  "demo",
  "a'b; touch pwned; '",
  '"$(touch pwned)`touch pwned`\\',
  "x\u202egnp.exe\u2066",
  "line\nbreak\u2028\u0000end",
  "</script><img src=x onerror=alert(1)>",
  "a/b?c=d&e#f%20 g+h",
  "${alert(1)}",
  "half \ud800 pair",
];

const of = (name: string, which: Snippet["name"], hasToken = false): string =>
  snippetsOf(sessionShown(name), BASE, hasToken).find(({ name }) => name === which)?.text ?? "";

/** What a shell makes of a command: the words that curl would be given. */
function words(command: string): string[] {
  const script = `curl() { printf '%s\\0' "$@"; }; TOKEN='the token'; ${command}`;
  return execFileSync("/bin/sh", ["-c", script], { encoding: "utf8" }).split("\0").slice(0, -1);
}

describe.each(NAMES)("of the session %j", (name) => {
  const url = `${BASE}/sessions/${encodeURIComponent(name.toWellFormed())}/events`;

  test("curl is given the address and nothing else, by a real shell", () => {
    expect(words(of(name, "curl"))).toEqual(["-N", url]);
    expect(words(of(name, "curl", true))).toEqual(["-N", "-H", "authorization: Bearer the token", url]);
  });

  test("the others are one program that names it, whatever is in it", () => {
    const sources: unknown[] = [];
    const EventSource = class {
      constructor(address: unknown) {
        sources.push(String(address));
      }
    };
    new Function("EventSource", of(name, "EventSource"))(EventSource);
    expect(sources).toEqual([url]);

    const clients: unknown[] = [];
    const SSEClient = class {
      constructor(options: unknown) {
        clients.push(options);
      }
      on() {}
      connect() {}
    };
    new Function("SSEClient", "token", of(name, "client", true).replace(/^import.*\n/, ""))(SSEClient, "the token");
    expect(clients).toEqual([{ baseUrl: BASE, sessionId: name.toWellFormed(), token: "the token" }]);

    const hooks: unknown[] = [];
    new Function("useSSEEvent", of(name, "React").replace(/^import.*\n/, ""))((type: string, _: unknown, options: unknown) => hooks.push(type, options));
    expect(hooks).toEqual(["*", { baseUrl: BASE, sessionId: name.toWellFormed() }]);
  });

  test("nothing in a snippet is unseen or turns the text", () => {
    for (const { text } of snippetsOf(sessionShown(name), BASE, true)) {
      expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/);
    }
  });
});

test("a list has a snippet for curl alone, with its question quoted", () => {
  const [curl, ...more] = snippetsOf({ path: "sessions?contains=a%27b&limit=100", isStream: false }, BASE, false);
  expect(more).toEqual([]);
  expect(words(curl?.text ?? "")).toEqual(["-sS", `${BASE}/sessions?contains=a%27b&limit=100`]);
});

test("an EventSource with a token says that it sends no header", () => {
  const addresses: string[] = [];
  const EventSource = class {
    constructor(address: URL) {
      addresses.push(address.href);
    }
  };
  new Function("EventSource", "token", of("demo", "EventSource", true))(EventSource, "a&b");
  expect(addresses).toEqual([`${BASE}/sessions/demo/events?access_token=a%26b`]);
  expect(of("demo", "EventSource", true)).toContain("token_in_query");
});

test("a quoted text is the text again", () => {
  for (const name of NAMES) {
    expect(JSON.parse(jsQuote(name))).toBe(name.toWellFormed());
    if (!name.includes("\0")) {
      const printed = execFileSync("/bin/sh", ["-c", `printf %s ${shellQuote(name.toWellFormed())}`], { encoding: "utf8" });
      expect(printed).toBe(name.toWellFormed());
    }
  }
});
