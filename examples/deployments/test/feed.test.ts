import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { logKey } from "../api/store.ts";
import { hubBinary } from "../scripts/binary.ts";
import { startApi, TOKENS as tokens, type Api } from "./kit/api.ts";

// The feed of logs, from a request to the stream in Redis. No hub is needed for it.

let api: Api;
/** Each test has a deployment of its own. */
let id: string;
let tests = 0;

beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api?.stop());

beforeEach(() => {
  id = `build-${++tests}`;
});

const line = (number: number): string => JSON.stringify({ line: number, stream: "stdout", at: 1_764_185_513 + number, text: `line ${number}` });
const lines = (from: number, to: number): string => Array.from({ length: to - from + 1 }, (_, index) => line(from + index)).join("\n");

interface Answer {
  readonly status: number;
  readonly ids: readonly string[];
  readonly code: string | undefined;
  readonly epoch: string | null | undefined;
}

async function feed(body: string, query = "", { key = `${Math.random()}`, token }: { key?: string; token?: string } = {}): Promise<Answer> {
  const answer = await fetch(`${api.url}/deployments/${id}/logs${query}`, {
    method: "POST",
    headers: {
      "content-type": "application/x-ndjson",
      "idempotency-key": key,
      authorization: `Bearer ${token ?? (await tokens.feeder(id, 60))}`,
    },
    body,
  });
  const { ids = [], code, epoch } = (await answer.json()) as Partial<Answer>;
  return { status: answer.status, ids, code, epoch };
}

const epochOf = ({ ids }: Answer): string => (ids[0] ?? "").split("-")[0] ?? "";

/** What is in the stream: the texts of lines, and its end. */
async function log(): Promise<string[]> {
  return (await api.redis.xrange(logKey(id), "-", "+")).map(([, [name = "", value = "", , code]]) =>
    name === "event" ? `${value} ${code}` : (JSON.parse(value) as { text: string }).text,
  );
}
const range = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}`);

test("lines and the end go into the stream in their order, and each line has an id", async () => {
  const first = await feed(lines(1, 3), "?reopen=true");
  expect(first.status).toBe(202);
  const epoch = epochOf(first);
  expect(first.ids).toEqual([1, 2, 3].map((number) => `${epoch}-${number}`));
  expect((await feed(lines(4, 5), `?epoch=${epoch}`)).ids).toEqual([`${epoch}-4`, `${epoch}-5`]);
  expect((await feed("", `?epoch=${epoch}`)).status).toBe(202);
  expect((await feed("", `?epoch=${epoch}&end=true&exit_code=7`)).status).toBe(202);
  expect(await log()).toEqual([...range(1, 5), "end 7"]);
  expect(await api.redis.ttl(logKey(id))).toBeGreaterThan(86_400);
});

test("a request that is sent again is taken once, also the one that ended the log", async () => {
  const first = await feed(lines(1, 2), "?reopen=true", { key: "a" });
  const again = await feed(lines(1, 2), "?reopen=true", { key: "a" });
  expect(again).toEqual(first);
  const query = `?epoch=${epochOf(first)}&end=true&exit_code=0`;
  expect([(await feed("", query, { key: "b" })).status, (await feed("", query, { key: "b" })).status]).toEqual([202, 202]);
  expect(await log()).toEqual([...range(1, 2), "end 0"]);
});

test("lines that come again under another key are there once; a line that has not ended is told until the whole of it is there", async () => {
  const partial = JSON.stringify({ line: 2, partial: true, text: "50 %" });
  const epoch = epochOf(await feed(`${line(1)}\n${partial}`, "?reopen=true"));
  await feed(line(2), `?epoch=${epoch}`);
  await feed(`${lines(1, 2)}\n${partial}\n${line(3)}`, `?epoch=${epoch}`);
  expect(await log()).toEqual(["line 1", "50 %", "line 2", "line 3"]);
});

test("an epoch that is over is refused with the one that is there; after the end a log takes nothing, unless it begins anew", async () => {
  const first = await feed(line(1), "?reopen=true");
  expect(await feed(line(2), "?epoch=another")).toMatchObject({ status: 409, code: "EPOCH_CHANGED", epoch: epochOf(first) });
  await feed("", `?epoch=${epochOf(first)}&end=true`);
  expect(await log()).toEqual(["line 1", "end none"]);
  expect(await feed(line(2))).toMatchObject({ status: 409, code: "SESSION_ENDED" });
  const anew = await feed(lines(1, 2), "?reopen=true");
  expect(epochOf(anew)).not.toBe(epochOf(first));
  expect(await log()).toEqual(range(1, 2));
});

test("after Redis was killed all lines are asked for again, and those that it lacks are added in their order", async () => {
  const epoch = epochOf(await feed(lines(1, 5), "?reopen=true"));
  // What a machine loses that loses its power: the end of what it has written.
  const { folder } = api;
  const kept = mkdtempSync(join(tmpdir(), "deployments-kept-"));
  cpSync(folder, kept, { recursive: true });
  await feed(lines(6, 10), `?epoch=${epoch}`);
  await api.server.kill();
  expect(existsSync(join(kept, "appendonlydir"))).toBe(true);
  rmSync(join(folder, "appendonlydir"), { recursive: true });
  cpSync(kept, folder, { recursive: true });
  rmSync(kept, { recursive: true });
  await api.server.start();
  await expect.poll(log).toEqual(range(1, 5));
  const refused = await feed(lines(11, 12), `?epoch=${epoch}`);
  expect(refused).toMatchObject({ status: 409, code: "EPOCH_CHANGED" });
  const again = await feed(lines(1, 12), "?reopen=true");
  expect([epochOf(again), again.ids.length]).toEqual([refused.epoch, 12]);
  expect(await log()).toEqual(range(1, 12));
});

test("while Redis is away a feed is asked to come back, and loses nothing by it", async () => {
  const epoch = epochOf(await feed(line(1), "?reopen=true"));
  await api.server.kill();
  expect(await feed(line(2), `?epoch=${epoch}`, { key: "c" })).toMatchObject({ status: 503, code: "STORE_UNAVAILABLE" });
  await api.server.start();
  await expect.poll(async () => (await feed(lines(1, 2), "?reopen=true", { key: "d" })).status).toBe(202);
  expect(await log()).toEqual(range(1, 2));
});

test("only the token for a log feeds it, and a token for the hub is none", async () => {
  const expired = await tokens.feeder(id, -10);
  const stranger = await tokens.feeder("another", 60);
  const viewer = await tokens.viewer({ user: "ada", id: "x", expiresAt: 0 }, Date.now() / 1_000 + 60);
  for (const [token, status] of [[expired, 401], [stranger, 403], [viewer, 401], ["nonsense", 401], ["", 401]] as const) {
    expect((await feed(line(1), "", { token })).status).toBe(status);
  }
  expect(await log()).toEqual([]);
});

test("what is no line is refused whole", async () => {
  for (const wrong of ["nonsense", "1", '{"line":-1}', '{"line":10000001}', '{"line":"1"}']) {
    expect((await feed(`${line(1)}\n${wrong}`)).status).toBe(400);
  }
  expect(await log()).toEqual([]);
});

test("`watertight run` over this feed: each line once and in order, the exit code, over a Redis that is killed in between", async () => {
  const binary = await hubBinary({ release: false });
  const token = join(api.folder, "token");
  writeFileSync(token, await tokens.feeder(id, 600));
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("WATERTIGHT_")));
  const child = spawn(binary, ["run", "--quiet", "--no-echo", "--hub", api.url, "--deployment", id, "--token-file", token, "--", "sh"], {
    stdio: ["pipe", "inherit", "inherit"],
    env,
  });
  const exited = once(child, "exit");
  const say = (command: string): void => void child.stdin.write(`${command}\n`);
  say("seq -f 'line %g' 1 20");
  await expect.poll(log).toEqual(range(1, 20));
  await api.server.kill();
  say("seq -f 'line %g' 21 40");
  await api.server.start();
  await expect.poll(log).toEqual(range(1, 40));
  say("exit 9");
  expect(await exited).toEqual([9, null]);
  expect(await log()).toEqual([...range(1, 40), "end 9"]);
});
