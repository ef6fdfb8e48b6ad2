// Takes builds from the queue in Redis and runs them, some at once. One worker at a time works on a queue.
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { Announcer } from "../api/announcer.ts";
import { changeDeployment, readDeployment, type Deployment } from "../api/deployments.ts";
import { endWithoutCode, readEnd } from "../api/feed.ts";
import type { WorkerSettings } from "../api/settings.ts";
import { QUEUE, RUNNING } from "../api/store.ts";
import { Tokens } from "../api/tokens.ts";
import { Builds } from "./builds.ts";

/** How long Redis is waited at for the next build, seconds: then it is looked whether there is still anything to wait for. */
const TAKE_TIMEOUT = 1;
/** Before Redis is asked again, milliseconds. */
const PAUSE = 500;

export class Worker {
  readonly #redis: Redis;
  /** For the command that waits: others would wait behind it. */
  readonly #blocking: Redis;
  readonly #builds: Builds;
  readonly #announcer: Announcer;
  readonly #atOnce: number;
  /** What is under way, by the ids of deployments. */
  readonly #running = new Map<string, Promise<void>>();
  #isStopping = false;

  constructor(settings: WorkerSettings, redis: Redis) {
    this.#redis = redis;
    this.#blocking = redis.duplicate();
    // The other connection says when Redis is away.
    this.#blocking.on("error", () => {});
    const tokens = new Tokens(settings.secret);
    this.#builds = new Builds(settings, tokens);
    this.#announcer = new Announcer(redis, tokens, settings.hubUrl);
    this.#atOnce = settings.buildsAtOnce;
  }

  /** Works until `stop`; resolves when everything that it has begun is over. */
  async run(): Promise<void> {
    let isCertain = false;
    while (!this.#isStopping) {
      try {
        if (!isCertain) await this.#adopt();
        isCertain = true;
        if (this.#running.size >= this.#atOnce) {
          await Promise.race(this.#running.values());
          continue;
        }
        const id = await this.#blocking.blmove(QUEUE, RUNNING, "LEFT", "RIGHT", TAKE_TIMEOUT);
        if (id) this.#begin(id);
      } catch (error) {
        if (this.#isStopping) break;
        // Whether Redis gave us a build is not known: it is looked for among those that somebody has taken.
        isCertain = false;
        console.error(`worker: cannot take a build: ${error}`);
        await sleep(PAUSE);
      }
    }
    await Promise.all(this.#running.values());
    await this.#announcer.stop();
    this.#blocking.disconnect();
  }

  /** Ends what is being built, as Ctrl-C does, and takes nothing more. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#blocking.disconnect();
    this.#builds.stop();
  }

  /** What was taken and is not under way here: by a worker that is gone, or given to us by an answer that did not arrive. */
  async #adopt(): Promise<void> {
    for (const id of await this.#redis.lrange(RUNNING, 0, -1)) {
      if (!this.#running.has(id)) this.#begin(id);
    }
  }

  #begin(id: string): void {
    const run = this.#buildOrFollow(id)
      .catch((error) => console.error(`worker: ${id}: ${error}`))
      .finally(() => this.#running.delete(id));
    this.#running.set(id, run);
  }

  async #buildOrFollow(id: string): Promise<void> {
    const deployment = await readDeployment(this.#redis, id);
    if (!deployment) return void (await this.#redis.lrem(RUNNING, 0, id));
    if (deployment.state === "queued") await this.#build(deployment);
    else if (deployment.state === "running") await this.#follow(id);
    else await this.#redis.lrem(RUNNING, 0, id);
  }

  /** An earlier worker began it: `watertight run` goes on without one, and its log says how it ended. */
  async #follow(id: string): Promise<void> {
    console.log(`worker: ${id} was begun by an earlier worker`);
    for (let end; !this.#isStopping; await sleep(PAUSE)) {
      // Before the end is looked for: what ends in between is found the next time.
      const isOver = await this.#builds.sendLeft(id);
      if ((end = await readEnd(this.#redis, id))) {
        return this.#settle(id, end.exitCode === null ? "lost" : end.exitCode === 0 ? "succeeded" : "failed", end.exitCode);
      }
      if (!isOver) continue;
      await endWithoutCode(this.#redis, id);
      return this.#settle(id, "lost", null);
    }
  }

  async #build(deployment: Deployment): Promise<void> {
    const { id } = deployment;
    if (await changeDeployment(this.#redis, id, { state: "running", startedAt: Date.now() / 1_000 })) this.#announcer.announce(id);
    console.log(`worker: ${id} begins`);
    const exitCode = await this.#builds.run(deployment);
    console.log(`worker: ${id} ended with ${exitCode}`);
    await this.#settle(id, exitCode === 0 ? "succeeded" : "failed", exitCode);
  }

  /** However long Redis is away: its connection waits for it. */
  async #settle(id: string, state: "succeeded" | "failed" | "lost", exitCode: number | null): Promise<void> {
    if (await changeDeployment(this.#redis, id, { state, exitCode, endedAt: Date.now() / 1_000 })) this.#announcer.announce(id);
    await this.#redis.lrem(RUNNING, 0, id);
  }
}
