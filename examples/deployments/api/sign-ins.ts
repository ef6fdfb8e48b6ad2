import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { signInKey } from "./store.ts";

/** Somebody who is signed in. */
export interface SignIn {
  readonly user: string;
  /** The `jti` of all tokens of this sign-in: signing out revokes them by it, with one call. */
  readonly id: string;
  /** Seconds since the Unix epoch. */
  readonly expiresAt: number;
}

export const COOKIE = "deployments";

/** What a browser shows for its sign-in. */
export type CookieValue = string;

/** Signs somebody in, for `lifetime` seconds. */
export async function signIn(redis: Redis, user: string, lifetime: number): Promise<[CookieValue, SignIn]> {
  const cookie = randomBytes(32).toString("base64url");
  const expiresAt = Math.floor(Date.now() / 1_000) + lifetime;
  const it: SignIn = { user, id: randomUUID(), expiresAt };
  const key = keyOf(cookie);
  await redis.multi().hset(key, { ...it }).expireat(key, expiresAt).exec();
  return [cookie, it];
}

/** Who is signed in with this cookie, if anybody is. */
export async function whoIs(redis: Redis, cookie: CookieValue | undefined): Promise<SignIn | undefined> {
  if (!cookie || cookie.length > 64) return undefined;
  const { user, id, expiresAt } = await redis.hgetall(keyOf(cookie));
  if (!user || !id || Number(expiresAt) <= Date.now() / 1_000) return undefined;
  return { user, id, expiresAt: Number(expiresAt) };
}

export async function signOut(redis: Redis, cookie: CookieValue): Promise<void> {
  await redis.del(keyOf(cookie));
}

function keyOf(cookie: CookieValue): string {
  return signInKey(createHash("sha256").update(cookie).digest("hex"));
}
