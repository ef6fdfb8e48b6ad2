// Redis: connections, and the names of all keys in one place.
//
// | key | |
// |---|---|
// | `watertight:owners` | hash: `deployments/ID` or `services/NAME` to the user; the hub asks it, too |
// | `deployment:ID` | hash: what is known of a deployment |
// | `deployment:ID:logs` | stream: its log; the hub reads it |
// | `deployment:ID:feed`, `deployment:ID:lines` | what the log was fed so far: `feed.ts` |
// | `deployments:of:USER` | sorted set: a user's deployments by time |
// | `builds:queue`, `builds:running` | lists: what is to be built, and what a worker has taken |
// | `user:NAME` | hash: a password's hash |
// | `sign-in:DIGEST` | hash: a sign-in; the cookie's SHA-256 stands in its name, so that reading Redis signs nobody in |
// | `revocations` | hash: what the hub is still to be told, see `revocations.ts` |
import { Redis, type RedisOptions } from "ioredis";

export const OWNERS = "watertight:owners";
export const QUEUE = "builds:queue";
export const RUNNING = "builds:running";
export const REVOCATIONS = "revocations";
export const deploymentKey = (id: string): string => `deployment:${id}`;
/** `logs_channel` of the hub. */
export const logKey = (id: string): string => `deployment:${id}:logs`;
export const feedKeys = (id: string): [string, string, string] => [logKey(id), `deployment:${id}:feed`, `deployment:${id}:lines`];
export const listKey = (user: string): string => `deployments:of:${user}`;
export const userKey = (name: string): string => `user:${name}`;
export const signInKey = (digest: string): string => `sign-in:${digest}`;
/** In the directory. */
export const resourceOf = (id: string): string => `deployments/${id}`;

/** The longest pause before Redis is tried again, milliseconds. */
const RETRY_MAX = 1_000;
/** How long somebody who waits for an answer waits for Redis, milliseconds. */
const COMMAND_TIMEOUT = 3_000;

/** A connection for requests: what Redis does not answer soon fails, and its caller is told 503. */
export function connect(url: string): Redis {
  return open(url, { commandTimeout: COMMAND_TIMEOUT, maxRetriesPerRequest: 1 });
}

/** A connection for work that has to be done in the end: a command waits until Redis is back. */
export function connectPatiently(url: string): Redis {
  return open(url, { maxRetriesPerRequest: null });
}

function open(url: string, options: Pick<RedisOptions, "commandTimeout" | "maxRetriesPerRequest">): Redis {
  const redis = new Redis(url, { ...options, retryStrategy: (tries) => Math.min(50 * 2 ** Math.min(tries, 6), RETRY_MAX) });
  let isAway = false;
  // Once per outage: it is tried again every second.
  redis.on("error", (error: Error & { code?: string }) => {
    if (!isAway) console.error(`redis: away (${error.code ?? error.message}); trying again until it is back`);
    isAway = true;
  });
  redis.on("ready", () => {
    if (isAway) console.error("redis: back");
    isAway = false;
  });
  return redis;
}
