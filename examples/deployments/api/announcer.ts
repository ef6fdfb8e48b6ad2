// Tells pages what becomes of deployments: by the hub, in a session of each user's.
//
// What is published is how a deployment stands at that moment, with a version that only grows. So it does not matter if something is
// published twice, or if two changes become one; and a page that missed some is right again with the snapshot.
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { publish } from "watertight/publish";
import { readDeployment, type Deployment } from "./deployments.ts";
import { listSession, type Tokens } from "./tokens.ts";

/** How long `stop` waits for the hub, milliseconds. */
const STOP_GRACE = 2_000;
/** Before Redis is asked again, milliseconds. */
const PAUSE = 500;

export class Announcer {
  readonly #redis: Redis;
  readonly #tokens: Tokens;
  readonly #hubUrl: string;
  /** Deployments with something new, each once, and who is to hear of them beside their owner. As many as there are changes at once. */
  readonly #due = new Map<string, Set<string>>();
  readonly #stopping = new AbortController();
  #run: Promise<void> | undefined;

  constructor(redis: Redis, tokens: Tokens, hubUrl: string) {
    this.#redis = redis;
    this.#tokens = tokens;
    this.#hubUrl = hubUrl;
  }

  /** Something of this deployment has changed. Waits for nobody. @param also somebody who had it before */
  announce(id: string, also?: string): void {
    const others = this.#due.get(id) ?? new Set();
    if (also !== undefined) others.add(also);
    this.#due.set(id, others);
    this.#run ??= this.#untilNoneIsDue().finally(() => (this.#run = undefined));
  }

  /** Publishes what is due, if the hub takes it soon. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#stopping.abort(), STOP_GRACE);
    await this.#run;
    clearTimeout(timer);
  }

  async #untilNoneIsDue(): Promise<void> {
    const { signal } = this.#stopping;
    while (this.#due.size && !signal.aborted) {
      const [id = ""] = this.#due.keys();
      let deployment: Deployment | undefined;
      try {
        deployment = await readDeployment(this.#redis, id);
      } catch {
        await sleep(PAUSE, undefined, { signal }).catch(() => {});
        continue;
      }
      const users = this.#due.get(id) ?? new Set();
      this.#due.delete(id);
      try {
        for (const user of deployment ? users.add(deployment.owner) : []) await this.#publish(listSession(user), deployment);
      } catch (error) {
        // The hub refuses it, and would again.
        if (!signal.aborted) console.error(`announcer: what became of ${id} could not be told: ${error}`);
      }
    }
  }

  async #publish(sessionId: string, data: unknown): Promise<void> {
    const { signal } = this.#stopping;
    const token = (): Promise<string> => this.#tokens.announcer();
    await publish({ baseUrl: this.#hubUrl, sessionId, token, signal, maxRetries: Infinity }, { type: "deployment", data });
  }
}
