import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { logKey } from "../../api/store.ts";
import { Tokens } from "../../api/tokens.ts";
import { hubBinary } from "../../scripts/binary.ts";
import { startPlatform, type Platform } from "../../scripts/platform.ts";
import { Member } from "./member.ts";

/** What was given back, and what is there. */
interface Count {
  readonly live: number;
  readonly opened: number;
  readonly closed: number;
}

/** The hub's own account. */
export interface Stats {
  readonly ledger: Readonly<Record<string, Count>>;
  readonly totalSubscribers: number;
  readonly process: { readonly pid: number };
}

/** A stream as the hub lists it. */
export interface Connection {
  readonly id: string;
  readonly session: string;
  readonly user: string | null;
  readonly kind: string;
  readonly sent: number;
  readonly validations: number;
  readonly errors: number;
  readonly ageSeconds: number;
}

/** A platform of a test's own, and how to ask it. */
export interface Stage {
  readonly platform: Platform;
  readonly redis: Redis;
  /** What the programs printed. */
  readonly lines: readonly string[];
  /** Somebody who is signed in, without a page. */
  member(user: "ada" | "grace"): Promise<Member>;
  stats(): Promise<Stats>;
  connections(): Promise<readonly Connection[]>;
  /** Closes streams at the hub, as operators do. */
  disconnect(ids: readonly string[]): Promise<void>;
  /** A figure of the hub's `/metrics`, all its labels together. */
  metric(name: string): Promise<number>;
  /** Seconds since the log of a deployment was read last, as Redis knows it. While the hub reads it, it looks at it each second. */
  unreadFor(id: string): Promise<number>;
  /** What is open in the API: relayed streams. */
  relays(): Promise<Count>;
  /** Nobody watches any more: nothing is left in the hub, in the API and in Redis. */
  expectNothingLeft(): Promise<void>;
  stop(): Promise<void>;
}

export const PASSWORDS = { ada: "engine", grace: "compiler" } as const;

/** Connections to Redis: the API's, the worker's two, the hub's for commands and for streams, and that of the test. */
const CLIENTS = 6;

/** Kinds in the ledger that belong to those who watch. */
const OF_WATCHERS = ["subscription", "timer", "source", "redisSubscription", "access"];

export interface StageOptions {
  /** Settings of the hub beside those below. */
  readonly hub?: Readonly<Record<string, string>>;
  readonly app?: Readonly<Record<string, string>>;
  /** Below which folder everything is kept. */
  readonly below?: string;
}

/** What takes minutes in earnest takes seconds here. */
const QUICK = {
  WATERTIGHT_REVALIDATE_INTERVAL: "1s",
  WATERTIGHT_DIRECTORY_CACHE: "100ms",
  WATERTIGHT_SOURCE_LINGER: "300ms",
  WATERTIGHT_RETRY: "200ms",
  WATERTIGHT_METRICS_INTERVAL: "1s",
};

// A run that is broken off takes its programs with it: they are ended when this process exits, but not when a signal ends it.
for (const end of ["SIGTERM", "SIGHUP", "disconnect"]) process.once(end, () => process.exit(1));

export async function setStage({ hub = {}, app = {}, below = tmpdir() }: StageOptions = {}): Promise<Stage> {
  const watertight = await hubBinary({ release: false });
  // Settings of the caller's own are none of a test's platform.
  for (const name of Object.keys(process.env)) if (/^(WATERTIGHT_|REDIS_URL$|SLOWLY$|TOKEN_LIFETIME$)/.test(name) && name !== "WATERTIGHT_BIN") delete process.env[name];
  const data = mkdtempSync(join(below, "deployments-"));
  const lines: string[] = [];
  const platform = await startPlatform({
    watertight,
    data,
    pagePort: 0,
    users: PASSWORDS,
    services: { api: "ada", worker: "ada", redis: "grace", machine: "grace" },
    hub: { ...QUICK, ...hub },
    app,
    log: (line) => lines.push(line),
  });
  const { hubUrl, apiUrl, redisUrl, secretFile } = platform;
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  // Tests take Redis away.
  redis.on("error", () => {});
  const tokens = new Tokens(new TextEncoder().encode(readFileSync(secretFile, "utf8")));
  const ask = async (path: string, method = "GET"): Promise<Response> => {
    const answer = await fetch(hubUrl + path, { method, headers: { authorization: `Bearer ${await tokens.operator()}` } });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  };
  const askJson = async <T>(path: string): Promise<T> => (await (await ask(path)).json()) as T;
  const clients = async (): Promise<number> => ((await redis.client("LIST")) as string).trim().split("\n").length;
  const stats = (): Promise<Stats> => askJson<Stats>("/stats");
  const relays = async (): Promise<Count> => {
    const { relays } = (await (await fetch(`${apiUrl}/health`)).json()) as { relays: Count };
    return relays;
  };
  return {
    platform,
    redis,
    lines,
    stats,
    relays,
    unreadFor: async (id) => Number(await redis.object("IDLETIME", logKey(id))),
    member: (user) => Member.signIn(apiUrl, user, PASSWORDS[user]),
    connections: async () => (await askJson<{ connections: Connection[] }>("/connections")).connections,
    async disconnect(ids) {
      for (const id of ids) await ask(`/connections/${id}`, "DELETE");
    },
    async metric(name) {
      const text = await (await ask("/metrics")).text();
      return text
        .split("\n")
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
    },
    async expectNothingLeft() {
      await expect
        .poll(async () => {
          const { ledger } = await stats();
          return OF_WATCHERS.map((kind) => [kind, ledger[kind]?.live, (ledger[kind]?.opened ?? 0) - (ledger[kind]?.closed ?? 0)]);
        })
        .toEqual(OF_WATCHERS.map((kind) => [kind, 0, 0]));
      await expect.poll(async () => (await relays()).live).toBe(0);
      // Nobody is subscribed to anything, and as many connections are open as before anybody watched.
      expect(await redis.pubsub("CHANNELS")).toEqual([]);
      await expect.poll(clients).toBe(CLIENTS);
    },
    async stop() {
      redis.disconnect();
      await platform.stop();
      rmSync(data, { recursive: true, force: true });
    },
  };
}
