import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { createDeployment, readDeployment, type Deployment } from "../api/deployments.ts";
import { endWithoutCode, take } from "../api/feed.ts";
import type { WorkerSettings } from "../api/settings.ts";
import { deploymentKey, logKey, QUEUE, RUNNING } from "../api/store.ts";
import { hubBinary } from "../scripts/binary.ts";
import { Builds, type BuildsOptions } from "../worker/builds.ts";
import { Worker } from "../worker/worker.ts";
import { SECRET, startApi, TOKENS, type Api } from "./kit/api.ts";

// The worker by itself, with Redis and the API, and a hub of which it matters only what it is told.

let api: Api;
let hub: Server;
/** What the hub was told: deployments and their states. */
let told: string[];
let settings: WorkerSettings;
let made: Deployment;
let begun: { worker: Worker; redis: Redis; over: Promise<void> }[];

beforeAll(async () => {
  api = await startApi();
  hub = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.once("end", () => {
      const { data } = JSON.parse(body) as { data: Deployment };
      told.push(`${data.id} ${data.state}`);
      response.writeHead(202, { "content-type": "application/json" }).end(JSON.stringify({ id: `e-${told.length}`, ids: [`e-${told.length}`] }));
    });
  }).listen(0, "127.0.0.1");
  await once(hub, "listening");
  settings = {
    redisUrl: api.redisUrl,
    hubUrl: `http://127.0.0.1:${(hub.address() as AddressInfo).port}`,
    feedUrl: api.url,
    secret: SECRET,
    watertight: await hubBinary({ release: false }),
    data: api.folder,
    buildsAtOnce: 4,
  };
});
afterAll(async () => {
  hub.closeAllConnections();
  hub.close();
  await api?.stop();
});
beforeEach(async () => {
  begun = [];
  told = [];
  made = await createDeployment(api.redis, "ada", "site");
});
afterEach(async () => {
  for (const { worker, redis, over } of begun) {
    await worker.stop();
    await over;
    redis.disconnect();
  }
  await api.redis.del(QUEUE, RUNNING);
});

/** @param prepare what is done to it before it works */
function begin(more: Partial<WorkerSettings> = {}, prepare: (redis: Redis, worker: Worker) => void = () => {}): Promise<void> {
  const redis = new Redis(api.redisUrl, { maxRetriesPerRequest: null });
  const worker = new Worker({ ...settings, ...more }, redis);
  prepare(redis, worker);
  const over = worker.run();
  begun.push({ worker, redis, over });
  return over;
}

const state = async (): Promise<string | undefined> => (await readDeployment(api.redis, made.id))?.state;
const taken = (): Promise<string[]> => api.redis.lrange(RUNNING, 0, -1);
/** How the log ended: the fields of its last entry. */
async function end(): Promise<string | undefined> {
  const [[, fields] = ["", []]] = await api.redis.xrevrange(logKey(made.id), "+", "-", "COUNT", 1);
  return fields[0] === "event" ? fields.slice(1, 4).join(" ") : undefined;
}
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test("a build that cannot be started is lost: the list says so, its log ends, and nobody waits for it", async () => {
  void begin({ watertight: "/nowhere/watertight" });
  await expect.poll(state).toBe("lost");
  await expect.poll(taken).toEqual([]);
  expect(await end()).toBe("end exit_code none");
  await expect.poll(() => told).toContain(`${made.id} lost`);
});

test("a build whose state cannot be written for a moment is taken up again", async () => {
  const failures: unknown[] = [];
  void begin({}, (redis) => {
    const change = redis.eval.bind(redis);
    vi.spyOn(redis, "eval").mockImplementation((...args: unknown[]) => {
      // The first one says that it runs, and the second one how it ended.
      if (failures.length < 2) return Promise.reject(failures[failures.push(new Error("MISCONF no space left")) - 1]);
      return (change as (...args: unknown[]) => Promise<unknown>)(...args);
    });
  });
  await expect.poll(state).toBe("succeeded");
  await expect.poll(taken).toEqual([]);
  expect([failures.length, await end()]).toEqual([2, "end exit_code 0"]);
});

test("a build that was to begin when the worker stopped has not begun: the next worker builds it", async () => {
  const stopped = begin({}, (redis, worker) => {
    const change = redis.eval.bind(redis) as (...args: unknown[]) => Promise<unknown>;
    vi.spyOn(redis, "eval").mockImplementationOnce(async (...args: unknown[]) => {
      const answer = await change(...args);
      // It runs, says Redis.
      await worker.stop();
      return answer;
    });
  });
  await stopped;
  expect([await state(), await taken(), await api.redis.exists(logKey(made.id))]).toEqual(["queued", [made.id], 0]);
  void begin();
  await expect.poll(state).toBe("succeeded");
  await expect.poll(taken).toEqual([]);
});

test("what a worker wrote and did not tell before it was killed, the next one tells", async () => {
  await api.redis.lmove(QUEUE, RUNNING, "LEFT", "RIGHT");
  await api.redis.hset(deploymentKey(made.id), { state: "failed", exitCode: "3", endedAt: "1764185513", version: 7 });
  await take(api.redis, made.id, { epoch: "", reopen: true, lines: "", end: { exitCode: 3 }, key: "" });
  void begin();
  await expect.poll(() => told).toEqual([`${made.id} failed`]);
  await expect.poll(taken).toEqual([]);
});

test("a log that a worker had no time to end is ended by the next one", async () => {
  await api.redis.lmove(QUEUE, RUNNING, "LEFT", "RIGHT");
  await api.redis.hset(deploymentKey(made.id), { state: "failed", exitCode: "143", endedAt: "1764185513", version: 7 });
  void begin();
  await expect.poll(taken).toEqual([]);
  expect(await end()).toBe("end exit_code none");
  await endWithoutCode(api.redis, made.id);
  expect(await api.redis.xlen(logKey(made.id))).toBe(1);
});

/** Begins a build that does not end when it is asked to; resolves when it has said which process it is. */
async function stubborn(options: BuildsOptions): Promise<{ builds: Builds; pid: number; over: Promise<number | undefined> }> {
  const projects = fileURLToPath(new URL("kit/projects", import.meta.url));
  const builds = new Builds(settings, TOKENS, { projects, ...options });
  const over = builds.run({ ...made, project: "stubborn" as Deployment["project"] });
  const number = async (): Promise<number> => {
    const entries = await api.redis.xrange(logKey(made.id), "-", "+");
    return Number(entries.map(([, [, line = ""]]) => /"text":"(\d+)"/.exec(line)?.[1]).find(Boolean) ?? 0);
  };
  await expect.poll(number).toBeGreaterThan(0);
  const pid = await number();
  expect(isAlive(pid)).toBe(true);
  return { builds, pid, over };
}

test("a build that takes too long and does not end when it is asked to is killed, and its log says so", async () => {
  // It has to have said which process it is by then.
  const { pid, over } = await stubborn({ timeout: 6_000, grace: 200 });
  expect(await over).toBe(137);
  expect([isAlive(pid), await end()]).toEqual([false, "end exit_code 137"]);
});

test("a build that does not end while the worker stops is killed, and its log says so", async () => {
  const { builds, pid, over } = await stubborn({ grace: 200 });
  builds.stop();
  expect(await over).toBe(137);
  expect([isAlive(pid), await end()]).toEqual([false, "end exit_code 137"]);
});

test("a worker that is killed at once takes the processes of its builds with it", async () => {
  const { builds, pid, over } = await stubborn({});
  builds.kill();
  expect(await over).toBe(137);
  await expect.poll(() => isAlive(pid)).toBe(false);
});

test("no build begins once the worker stops", async () => {
  const builds = new Builds(settings, TOKENS);
  const over = builds.run(made);
  builds.stop();
  expect(await over).toBe(undefined);
  expect(await api.redis.exists(logKey(made.id))).toBe(0);
});
