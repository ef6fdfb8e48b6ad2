import { describe, expect, test } from "vitest";
import type { DebugRecord } from "watertight";
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
  version,
  ...more,
});

describe("the list of deployments", () => {
  test("what is older than what is known changes nothing, in whatever order it comes", () => {
    const rows = merge(NONE, "ada", [one("a", 2, { state: "running" }), one("a", 1)]);
    expect(merge(rows, "ada", [one("a", 2)]).get("a")?.state).toBe("running");
    expect(merge(rows, "ada", [one("a", 3, { state: "succeeded" })]).get("a")?.state).toBe("succeeded");
  });

  test("what was given away goes, and what was given comes", () => {
    const rows = merge(NONE, "ada", [one("a", 1)]);
    expect(merge(rows, "ada", [one("a", 2, { owner: "grace" })]).size).toBe(0);
    expect(merge(NONE, "grace", [one("a", 2, { owner: "grace" })]).size).toBe(1);
  });

  test("a snapshot takes out what it has not, and is no step back for what it has", () => {
    const rows = merge(NONE, "ada", [one("a", 5, { state: "running" }), one("b", 1)]);
    const after = replace(rows, "ada", { deployments: [one("a", 4), one("c", 9)], lastEventId: null });
    expect(inOrder(after).map(({ id, state }) => [id, state])).toEqual([
      ["c", "queued"],
      ["a", "running"],
    ]);
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
