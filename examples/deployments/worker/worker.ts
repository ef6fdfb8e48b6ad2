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
  /** Whether all that was taken is under way here. */
  #isCertain = false;
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
    while (!this.#isStopping) {
      try {
        if (!this.#isCertain) {
          // Before it is looked: whoever fails meanwhile is looked for again.
          this.#isCertain = true;
          await this.#adopt();
        }
        if (this.#running.size >= this.#atOnce) {
          await Promise.race(this.#running.values());
          continue;
        }
        const id = await this.#blocking.blmove(QUEUE, RUNNING, "LEFT", "RIGHT", TAKE_TIMEOUT);
        if (id) this.#begin(id);
      } catch (error) {
        if (this.#isStopping) break;
        // Whether Redis gave us a build is not known: it is looked for among those that somebody has taken.
        this.#isCertain = false;
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

  /** Ends at once what is being built. */
  kill(): void {
    this.#builds.kill();
  }

  /** What was taken and is not under way here: by a worker that is gone, or given to us by an answer that did not arrive. */
  async #adopt(): Promise<void> {
    for (const id of await this.#redis.lrange(RUNNING, 0, -1)) {
      if (!this.#running.has(id)) this.#begin(id);
    }
  }

  #begin(id: string): void {
    const run = this.#buildOrFollow(id)
      .catch(async (error) => {
        console.error(`worker: ${id}: ${error}`);
        if (!this.#isStopping) await sleep(PAUSE);
        // It is taken up again, where it is by then.
        this.#isCertain = false;
      })
      .finally(() => this.#running.delete(id));
    this.#running.set(id, run);
  }

  async #buildOrFollow(id: string): Promise<void> {
    const deployment = await readDeployment(this.#redis, id);
    if (!deployment) return void (await this.#redis.lrem(RUNNING, 0, id));
    if (deployment.state === "queued") return this.#build(deployment);
    console.log(`worker: ${id} was begun before`);
    const end = await this.#endOfLog(id);
    if (!end) return;
    // An earlier worker may have ended between what it wrote and what it told.
    if (deployment.state !== "running") this.#announcer.announce(id);
    else await this.#change(id, { ...outcomeOf(end.exitCode), endedAt: now() });
    await this.#redis.lrem(RUNNING, 0, id);
  }

  /** However long Redis is away: its connection waits for it. */
  async #build(deployment: Deployment): Promise<void> {
    const { id } = deployment;
    if (this.#isStopping) return;
    await this.#change(id, { state: "running", startedAt: now() });
    console.log(`worker: ${id} begins`);
    let exitCode: number | null | undefined;
    try {
      exitCode = await this.#builds.run(deployment);
    } catch (error) {
      console.error(`worker: ${id} cannot be built: ${error}`);
      exitCode = null;
    }
    // The next worker takes it.
    if (exitCode === undefined) return this.#change(id, { state: "queued", startedAt: null });
    console.log(`worker: ${id} ended with ${exitCode ?? "nobody knows what"}`);
    await this.#change(id, { ...outcomeOf(exitCode), endedAt: now() });
    if (await this.#endOfLog(id)) await this.#redis.lrem(RUNNING, 0, id);
  }

  /**
   * Waits for the end of a log: `watertight run` goes on without a worker, and what it has left is sent. A log of which nothing more
   * will come is ended.
   *
   * @returns `undefined` if the worker is to stop before
   */
  async #endOfLog(id: string): Promise<{ readonly exitCode: number | null } | undefined> {
    for (;;) {
      // Before the end is looked for: what ends in between is found the next time.
      const isOver = await this.#builds.sendLeft(id);
      const end = await readEnd(this.#redis, id);
      if (end) return end;
      if (isOver) {
        await endWithoutCode(this.#redis, id);
        return { exitCode: null };
      }
      if (this.#isStopping) return undefined;
      await sleep(PAUSE);
    }
  }

  async #change(id: string, change: Partial<Deployment>): Promise<void> {
    if (await changeDeployment(this.#redis, id, change)) this.#announcer.announce(id);
  }
}

function outcomeOf(exitCode: number | null): Pick<Deployment, "state" | "exitCode"> {
  return { state: exitCode === null ? "lost" : exitCode === 0 ? "succeeded" : "failed", exitCode };
}

const now = (): number => Date.now() / 1_000;
