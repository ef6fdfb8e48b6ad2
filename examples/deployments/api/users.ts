import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { Redis } from "ioredis";
import { Problem } from "./problem.ts";
import { userKey } from "./store.ts";

const derive = promisify<string, Buffer, number, Buffer>(scrypt);
const KEY_BYTES = 32;
/** Tries to sign in as one user that fail, in `TRIES_SPAN` seconds: a hash takes 50 ms of a core. */
const TRIES_MAX = 20;
const TRIES_SPAN = 60;

/** Names are part of keys, of sessions and of grants. */
export const NAME = /^[a-z][a-z0-9]{0,31}$/;

export async function putUser(redis: Redis, name: string, password: string): Promise<void> {
  if (!NAME.test(name)) throw new Error(`a user is called by up to 32 small letters and digits, not ${JSON.stringify(name)}`);
  const salt = randomBytes(16);
  const hash = await derive(password, salt, KEY_BYTES);
  await redis.hset(userKey(name), { salt: salt.toString("base64"), hash: hash.toString("base64") });
}

export async function isUser(redis: Redis, name: string): Promise<boolean> {
  return NAME.test(name) && (await redis.exists(userKey(name))) === 1;
}

/** @throws Problem 401 for a wrong password as for a user who is not there; 429 after too many tries */
export async function checkPassword(redis: Redis, name: string, password: string): Promise<void> {
  const wrong = new Problem(401, "WRONG_PASSWORD", "there is no such user with this password");
  if (!NAME.test(name)) throw wrong;
  const tries = `${userKey(name)}:tries`;
  const [count] = await Promise.all([redis.incr(tries), redis.expire(tries, TRIES_SPAN, "NX")]);
  if (count > TRIES_MAX) throw new Problem(429, "RATE_LIMITED", "too many tries", { retryAfter: TRIES_SPAN });
  const { salt = "", hash = "" } = await redis.hgetall(userKey(name));
  // It takes as long for a user who is not there.
  const derived = await derive(password, Buffer.from(salt, "base64"), KEY_BYTES);
  const known = Buffer.from(hash, "base64");
  if (known.length !== derived.length || !timingSafeEqual(known, derived)) throw wrong;
  await redis.del(tries);
}
