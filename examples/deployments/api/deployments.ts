import { randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import { KEPT_FOR } from "./feed.ts";
import { deploymentKey, feedKeys, listKey, OWNERS, QUEUE, resourceOf } from "./store.ts";

export const PROJECTS = ["site", "pages", "broken"] as const;
export type Project = (typeof PROJECTS)[number];

/** `lost`: the worker ended while it ran, and nobody knows its exit code. */
export type State = "queued" | "running" | "succeeded" | "failed" | "lost";

/** What is known of a deployment. Times are seconds since the Unix epoch. */
export interface Deployment {
  readonly id: string;
  readonly owner: string;
  readonly project: Project;
  readonly state: State;
  /** `null`: not over, or nobody knows. */
  readonly exitCode: number | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** When its log goes; `null` while it is not over. */
  readonly logUntil: number | null;
  /** Grows with each change: of two, the greater one is newer. */
  readonly version: number;
}

/** How many of a user's deployments are kept; the oldest go, with their logs. */
const KEPT_MAX = 500;
const time = (): number => Date.now() / 1_000;

// Each is one step: nobody sees half of it, and of two at once the second one sees the first.

const CHANGE = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
redis.call('HINCRBY', KEYS[1], 'version', 1)
return 1`;

const GIVE = `
local owners, deployment, of, to = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('HGET', owners, ARGV[2]) ~= ARGV[3] or redis.call('EXISTS', deployment) == 0 then return 0 end
redis.call('HSET', owners, ARGV[2], ARGV[4])
redis.call('HSET', deployment, 'owner', ARGV[4])
redis.call('HINCRBY', deployment, 'version', 1)
redis.call('ZREM', of, ARGV[1])
redis.call('ZADD', to, redis.call('HGET', deployment, 'createdAt'), ARGV[1])
return 1`;

/** Of somebody else's it is only taken out of the list. */
const FORGET = `
redis.call('ZREM', KEYS[3], ARGV[1])
if redis.call('HGET', KEYS[1], ARGV[2]) ~= ARGV[3] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('DEL', KEYS[2], KEYS[4], KEYS[5], KEYS[6])
return 1`;

/** Makes a deployment, and puts it into the queue of builds. */
export async function createDeployment(redis: Redis, owner: string, project: Project): Promise<Deployment> {
  const id = `${project}-${randomBytes(5).toString("hex")}`;
  const createdAt = time();
  const made = { id, owner, project, state: "queued" as const, createdAt };
  const multi = redis.multi();
  multi.hset(deploymentKey(id), { ...made, version: 1 });
  multi.hset(OWNERS, resourceOf(id), owner);
  multi.zadd(listKey(owner), createdAt, id);
  multi.rpush(QUEUE, id);
  await exec(multi);
  await forgetOldest(redis, owner);
  return { ...made, exitCode: null, startedAt: null, endedAt: null, logUntil: null, version: 1 };
}

export async function readDeployment(redis: Redis, id: string): Promise<Deployment | undefined> {
  const found = await redis.hgetall(deploymentKey(id));
  return found["id"] ? fromHash(found) : undefined;
}

/** The newest first. */
export async function listDeployments(redis: Redis, owner: string): Promise<Deployment[]> {
  const ids = await redis.zrevrange(listKey(owner), 0, KEPT_MAX - 1);
  const pipeline = redis.pipeline();
  for (const id of ids) pipeline.hgetall(deploymentKey(id));
  const answers = (await pipeline.exec()) ?? [];
  return answers.flatMap(([error, found]) => {
    if (error) throw error;
    const hash = found as Record<string, string>;
    // It may have been given away since the list was read.
    return hash["id"] && hash["owner"] === owner ? [fromHash(hash)] : [];
  });
}

/** Changes what is known of a deployment. `false`: it is not there any more. */
export async function changeDeployment(redis: Redis, id: string, change: Partial<Deployment>): Promise<boolean> {
  const fields = Object.entries(change).map(([name, value]) => [name, `${value ?? ""}`]);
  return (await redis.eval(CHANGE, 1, deploymentKey(id), ...fields.flat())) === 1;
}

/**
 * Gives a deployment to somebody else. Within `revalidate_interval` the hub ends the streams of whoever had it.
 *
 * @returns `false`: it is not that owner's (any more)
 */
export async function giveDeployment(redis: Redis, id: string, from: string, to: string): Promise<boolean> {
  return (await redis.eval(GIVE, 4, OWNERS, deploymentKey(id), listKey(from), listKey(to), id, resourceOf(id), from, to)) === 1;
}

export async function ownerOf(redis: Redis, id: string): Promise<string | null> {
  return redis.hget(OWNERS, resourceOf(id));
}

async function forgetOldest(redis: Redis, owner: string): Promise<void> {
  const ids = await redis.zrange(listKey(owner), "0", `${-KEPT_MAX - 1}`);
  for (const id of ids) await redis.eval(FORGET, 6, OWNERS, deploymentKey(id), listKey(owner), ...feedKeys(id), id, resourceOf(id), owner);
}

function fromHash(found: Record<string, string>): Deployment {
  const number = (name: string): number | null => (found[name] ? Number(found[name]) : null);
  const endedAt = number("endedAt");
  return {
    id: found["id"] ?? "",
    owner: found["owner"] ?? "",
    project: found["project"] as Project,
    state: found["state"] as State,
    exitCode: number("exitCode"),
    createdAt: number("createdAt") ?? 0,
    startedAt: number("startedAt"),
    endedAt,
    logUntil: endedAt && endedAt + KEPT_FOR,
    version: number("version") ?? 0,
  };
}

/** A transaction, of which also a single refused command is an error. */
async function exec(multi: ReturnType<Redis["multi"]>): Promise<void> {
  for (const [error] of (await multi.exec()) ?? []) if (error) throw error;
}
