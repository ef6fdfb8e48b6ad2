import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import { createDevtools } from "../../src/devtools.ts";
import { createMemoryHub } from "../../src/testing/index.ts";
import type { DebugRecord } from "../../src/types.ts";
import { connect } from "../kit/watch.ts";

describe("the debug hook", () => {
  test("is told of everything that happens, in order, with the client that it happened to", async () => {
    const hub = createMemoryHub();
    const records: DebugRecord[] = [];
    hub.refuse(1, 503);
    const watched = connect({ sessionId: "s", fetch: hub.fetch, debug: (record) => records.push(record) });
    await watched.again();
    await watched.until("open");
    hub.publish("s", "n", 1);
    await watched.receive(1);
    watched.client.destroy();
    const { client } = watched;
    expect(records.every((record) => record.client === client)).toBe(true);
    const details = records.map(({ client: _, ...record }) => (record.type === "status" ? record.status.state : record));
    expect(details).toEqual([
      "connecting",
      { type: "attempt", way: "stream", refresh: false, cursor: "" },
      { type: "wait", milliseconds: 100 },
      "reconnecting",
      { type: "attempt", way: "stream", refresh: false, cursor: "" },
      "open",
      // It failed no more often in a row.
      "open",
      { type: "event", event: "n", id: watched.ids[0], text: "1" },
      "closed",
      { type: "destroyed" },
    ]);
  });

  test("one that throws is reported, and disturbs nothing", async () => {
    const hub = createMemoryHub();
    const watched = connect({
      sessionId: "s",
      fetch: hub.fetch,
      debug: () => {
        throw new Error("oops");
      },
    });
    await watched.until("open");
    hub.publish("s", "n", 1);
    await watched.receive(1);
    expect(new Set(watched.errors.map(({ kind }) => kind))).toEqual(new Set(["handler"]));
    watched.client.destroy();
  });
});

describe("devtools", () => {
  test("sum up what each stream did, and forget those that are destroyed", async () => {
    const hub = createMemoryHub({ history: 2 });
    const { debug, streams } = createDevtools();
    hub.refuse(1, 503);
    const watched = connect({ sessionId: "s", fetch: hub.fetch, debug });
    await watched.again();
    await watched.until("open");
    hub.publish("s", "n", 1);
    await watched.receive(1);
    hub.refuse(1, 503);
    hub.drop();
    await watched.again();
    for (let n = 2; n < 7; n++) hub.publish("s", "n", n);
    await watched.again();
    await watched.receive(4);
    expect(streams()).toEqual([
      expect.objectContaining({ name: "s", state: "open", attempts: 4, events: 4, gaps: 1, missed: 3, cursor: watched.client.lastEventId }),
    ]);
    watched.client.destroy();
    expect(streams()).toEqual([]);
  });

  test("a URL is named without its query, which may hold a token", () => {
    const { debug, streams } = createDevtools();
    const watched = connect({ url: "http://server/events?token=hush-hush", fetch: createMemoryHub().fetch, debug });
    expect(streams().map(({ name }) => name)).toEqual(["http://server/events"]);
    watched.client.destroy();
  });

  const bundle = async (code: string, env: string): Promise<string> => {
    const { outputFiles } = await build({
      stdin: { contents: code, resolveDir: process.cwd() },
      bundle: true,
      minify: true,
      write: false,
      format: "esm",
      platform: "browser",
      define: { "process.env.NODE_ENV": JSON.stringify(env) },
    });
    return outputFiles[0]!.text;
  };
  const marks = ["watertight-devtools", "attachShadow", "next try", "missed"];

  test("nothing of the panel is in a production bundle", async () => {
    const code = `import { createDevtools } from "./src/devtools.ts"; globalThis.debug = createDevtools().debug;`;
    const development = await bundle(code, "development");
    expect(marks.filter((mark) => !development.includes(mark))).toEqual([]);
    const production = await bundle(code, "production");
    expect(marks.filter((mark) => production.includes(mark))).toEqual([]);
    expect(production.length).toBeLessThan(200);
  });
});
