import { randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
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
  /** Grows with each change: of two, the greater one is newer. */
  readonly version: number;
}

/** How many of a user's deployments are kept; the oldest go, with their logs. */
const KEPT_MAX = 500;
const time = (): number => Date.now() / 1_000;

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
  return { ...made, exitCode: null, startedAt: null, endedAt: null, version: 1 };
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
    return hash["id"] ? [fromHash(hash)] : [];
  });
}

/** Changes what is known of a deployment. `false`: it is not there any more. */
export async function changeDeployment(redis: Redis, id: string, change: Partial<Deployment>): Promise<boolean> {
  if (!(await redis.exists(deploymentKey(id)))) return false;
  const fields = Object.fromEntries(Object.entries(change).map(([name, value]) => [name, `${value ?? ""}`]));
  await exec(redis.multi().hset(deploymentKey(id), fields).hincrby(deploymentKey(id), "version", 1));
  return true;
}

/** Gives a deployment to somebody else. Within `revalidate_interval` the hub ends the streams of whoever had it. */
export async function giveDeployment(redis: Redis, { id, owner, createdAt }: Deployment, to: string): Promise<void> {
  const multi = redis.multi();
  multi.hset(OWNERS, resourceOf(id), to);
  multi.hset(deploymentKey(id), { owner: to });
  multi.hincrby(deploymentKey(id), "version", 1);
  multi.zrem(listKey(owner), id);
  multi.zadd(listKey(to), createdAt, id);
  await exec(multi);
}

export async function ownerOf(redis: Redis, id: string): Promise<string | null> {
  return redis.hget(OWNERS, resourceOf(id));
}

async function forgetOldest(redis: Redis, owner: string): Promise<void> {
  const ids = await redis.zrange(listKey(owner), "0", `${-KEPT_MAX - 1}`);
  for (const id of ids) {
    const multi = redis.multi();
    multi.zrem(listKey(owner), id);
    multi.hdel(OWNERS, resourceOf(id));
    multi.del(deploymentKey(id), ...feedKeys(id));
    await exec(multi);
  }
}

function fromHash(found: Record<string, string>): Deployment {
  const number = (name: string): number | null => (found[name] ? Number(found[name]) : null);
  return {
    id: found["id"] ?? "",
    owner: found["owner"] ?? "",
    project: found["project"] as Project,
    state: found["state"] as State,
    exitCode: number("exitCode"),
    createdAt: number("createdAt") ?? 0,
    startedAt: number("startedAt"),
    endedAt: number("endedAt"),
    version: number("version") ?? 0,
  };
}

/** A transaction, of which also a single refused command is an error. */
async function exec(multi: ReturnType<Redis["multi"]>): Promise<void> {
  for (const [error] of (await multi.exec()) ?? []) if (error) throw error;
}
