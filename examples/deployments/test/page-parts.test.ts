import { afterEach, describe, expect, test, vi } from "vitest";
import type { DebugRecord } from "watertight";
import { call, createTokenSource } from "../src/api.ts";
import { inOrder, merge, replace, type Deployment, type Rows } from "../src/deployments.ts";
import { listen, type Said } from "../src/said.ts";

// What the page decides by itself, without a page.

const NONE: Rows = new Map();
const one = (id: string, version: number, more: Partial<Deployment> = {}): Deployment => ({
  id,
  owner: "ada",
  project: "site",
  state: "queued",
  exitCode: null,
  createdAt: version,
  startedAt: null,
  endedAt: null,
  logUntil: null,
  version,
  ...more,
});

const ids = (rows: Rows, user = "ada"): string[] => inOrder(rows, user).map(({ id }) => id);

describe("the list of deployments", () => {
  test("what is older than what is known changes nothing, in whatever order it comes", () => {
    const rows = merge(NONE, "ada", [one("a", 2, { state: "running" }), one("a", 1)]);
    expect(merge(rows, "ada", [one("a", 2)]).get("a")?.state).toBe("running");
    expect(merge(rows, "ada", [one("a", 3, { state: "succeeded" })]).get("a")?.state).toBe("succeeded");
  });

  test("what was given away goes, and what was given comes", () => {
    const rows = merge(NONE, "ada", [one("a", 1)]);
    expect(ids(merge(rows, "ada", [one("a", 2, { owner: "grace" })]))).toEqual([]);
    expect(ids(merge(NONE, "grace", [one("a", 2, { owner: "grace" })]), "grace")).toEqual(["a"]);
  });

  test("what was given away is not brought back by what was told of it before, but by its being given back", () => {
    const gone = merge(NONE, "ada", [one("a", 1), one("a", 3, { owner: "grace" })]);
    expect(ids(merge(gone, "ada", [one("a", 2)]))).toEqual([]);
    const after = replace(gone, gone, "ada", { deployments: [], lastEventId: null });
    expect(ids(merge(after, "ada", [one("a", 2)]))).toEqual([]);
    expect(ids(merge(after, "ada", [one("a", 4)]))).toEqual(["a"]);
  });

  test("of those that were given away as many are kept in mind as the limit says", () => {
    const given = Array.from({ length: 1_500 }, (_, index) => one(`a${index}`, 2, { owner: "grace" }));
    const rows = merge(merge(NONE, "ada", [one("mine", 1)]), "ada", given);
    expect([rows.size, rows.has("mine"), rows.has("a499"), rows.has("a500")]).toEqual([1_001, true, false, true]);
  });

  test("a snapshot takes out what it has not, and is no step back for what it has", () => {
    const rows = merge(NONE, "ada", [one("a", 5, { state: "running" }), one("b", 1)]);
    const after = replace(rows, rows, "ada", { deployments: [one("a", 4), one("c", 9)], lastEventId: null });
    expect(inOrder(after, "ada").map(({ id, state }) => [id, state])).toEqual([
      ["c", "queued"],
      ["a", "running"],
    ]);
  });

  test("what the stream told while a snapshot was on its way stays, whatever the snapshot has", () => {
    const asked = merge(NONE, "ada", [one("old", 1), one("changed", 1)]);
    const rows = merge(asked, "ada", [one("new", 1), one("changed", 2)]);
    expect(ids(replace(rows, asked, "ada", { deployments: [], lastEventId: null })).sort()).toEqual(["changed", "new"]);
  });
});

describe("what the page asks the API", () => {
  afterEach(() => vi.restoreAllMocks());

  /** A network that says nothing, and a clock of the test's: `expire` is the end of all patience. */
  function silence(): { readonly expire: () => void; readonly asked: string[] } {
    const timers: AbortController[] = [];
    const asked: string[] = [];
    vi.spyOn(AbortSignal, "timeout").mockImplementation((milliseconds) => {
      expect(milliseconds).toBeLessThanOrEqual(10_000);
      const timer = new AbortController();
      timers.push(timer);
      return timer.signal;
    });
    vi.spyOn(globalThis, "fetch").mockImplementation((url, { signal } = {}) => {
      asked.push(String(url));
      return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    });
    return { asked, expire: () => timers.splice(0).forEach((timer) => timer.abort(new DOMException("too long", "TimeoutError"))) };
  }

  test("a token that does not come is given up, and the next stream that needs one asks anew", async () => {
    const { asked, expire } = silence();
    const token = createTokenSource();
    const both = [token({ refresh: false }), token({ refresh: false })];
    const failed = Promise.all(both.map((one) => expect(one).rejects.toMatchObject({ status: 0, code: "NO_ANSWER" })));
    expire();
    await failed;
    expect(asked).toEqual(["/api/token"]);
    vi.mocked(fetch).mockImplementation(async () => Response.json({ token: "t", expiresAt: Date.now() / 1_000 + 60 }));
    expect(await token({ refresh: false })).toBe("t");
  });

  test("whoever leaves is told that, and who stays that nobody answers", async () => {
    const { expire } = silence();
    const leaving = new AbortController();
    const left = expect(call("GET", "/deployments", undefined, leaving.signal)).rejects.toMatchObject({ name: "AbortError" });
    leaving.abort();
    await left;
    const stayed = expect(call("GET", "/deployments", undefined, new AbortController().signal)).rejects.toMatchObject({ code: "NO_ANSWER" });
    expire();
    await stayed;
  });
});

describe("what streams were told", () => {
  const event = (code: string): DebugRecord => ({ type: "event", event: "error", id: "", text: JSON.stringify({ code, error: "words" }) }) as unknown as DebugRecord;
  const refused = (code: string): DebugRecord =>
    ({ type: "status", status: { state: "reconnecting", error: { status: 503, code, message: "away" } } }) as unknown as DebugRecord;
  const codes = (said: readonly Said[]): string[] => said.map(({ stream, code }) => `${stream} ${code}`);
  const all = (...records: (readonly [string, DebugRecord])[]): readonly Said[] =>
    records.reduce<readonly Said[]>((said, [stream, record]) => listen(said, stream, record), []);

  test("each closing event is told, and a refusal that is repeated once, for each stream by itself", () => {
    const said = all(
      ["log", event("TIMEOUT")],
      ["log", event("TIMEOUT")],
      ["log", refused("DIRECTORY_UNAVAILABLE")],
      ["list", refused("DIRECTORY_UNAVAILABLE")],
      ["log", refused("DIRECTORY_UNAVAILABLE")],
    );
    expect(codes(said)).toEqual(["log TIMEOUT", "log TIMEOUT", "log DIRECTORY_UNAVAILABLE", "list DIRECTORY_UNAVAILABLE"]);
  });

  test("an event of another kind, and a connection that broke, say nothing here; and a hundred are kept", () => {
    const broke = { type: "status", status: { state: "reconnecting", error: { message: "no connection" } } } as unknown as DebugRecord;
    const log = { type: "event", event: "log", id: "1", text: '{"code":"TIMEOUT"}' } as unknown as DebugRecord;
    expect(all(["log", broke], ["log", log])).toEqual([]);
    const many = all(...Array.from({ length: 150 }, (_, index) => ["log", event(`C${index}`)] as const));
    expect([many.length, many[0]?.code, many.at(-1)?.code]).toEqual([100, "C50", "C149"]);
  });
});
