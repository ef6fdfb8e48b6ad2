// Who signs out is to be out everywhere, also where the hub is away at the moment: what it is to be told is kept in Redis until it
// has been told.
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { SignIn } from "./sign-ins.ts";
import { REVOCATIONS } from "./store.ts";
import { now, type Tokens } from "./tokens.ts";

/** Between two tries, milliseconds. */
const PAUSE = 1_000;
/** How long the hub may take for an answer, milliseconds. */
const ANSWER_TIMEOUT = 5_000;

/** Tells the hub whose tokens count no longer. */
export class Revocations {
  readonly #redis: Redis;
  readonly #tokens: Tokens;
  readonly #hubUrl: string;
  readonly #stopping = new AbortController();
  /** The one run that is under way. */
  #run: Promise<void> | undefined;

  constructor(redis: Redis, tokens: Tokens, hubUrl: string) {
    this.#redis = redis;
    this.#tokens = tokens;
    this.#hubUrl = hubUrl;
  }

  /** Tells the hub what an earlier process did not get to tell. */
  start(): void {
    this.#tellAll();
  }

  /** All tokens of a sign-in. Resolves when it is certain that the hub will be told; mostly it has been by then. */
  async revoke({ id, expiresAt }: SignIn): Promise<void> {
    await this.#redis.hset(REVOCATIONS, id, expiresAt);
    // One try at once, so that whoever signs out sees it happen.
    await this.#tell(id, expiresAt).catch(() => this.#tellAll());
  }

  /** What is not told yet stays in Redis. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#run;
  }

  #tellAll(): void {
    this.#run ??= this.#untilAllAreTold().finally(() => (this.#run = undefined));
  }

  async #untilAllAreTold(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        const all = Object.entries(await this.#redis.hgetall(REVOCATIONS));
        if (!all.length) return;
        for (const [id, expiresAt] of all) await this.#tell(id, Number(expiresAt));
      } catch {
        await sleep(PAUSE, undefined, { signal: this.#stopping.signal }).catch(() => {});
      }
    }
  }

  async #tell(jti: string, expiresAt: number): Promise<void> {
    // What has expired by itself needs no revocation.
    if (expiresAt > now()) {
      const answer = await fetch(`${this.#hubUrl}/tokens/revoke`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${await this.#tokens.operator()}` },
        body: JSON.stringify({ jti, exp: expiresAt }),
        signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(ANSWER_TIMEOUT)]),
      });
      const words = await answer.text();
      if (!answer.ok) throw new Error(`the hub does not revoke: ${answer.status} ${words}`);
    }
    await this.#redis.hdel(REVOCATIONS, jti);
  }
}
