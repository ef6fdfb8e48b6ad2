// The whole platform: Redis, the hub, the API, the worker and the page, each started when what it needs is there.
import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import type { ViteDevServer } from "vite";
import { OWNERS } from "../api/store.ts";
import { HUB } from "../api/tokens.ts";
import { freePort, supervise, type Program } from "./supervise.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

export interface PlatformOptions {
  /** The `watertight` binary. */
  readonly watertight: string;
  /** Where everything that is kept is kept; made if it is not there. */
  readonly data: string;
  /** A Redis that is there already; without one, `redis-server` is started. */
  readonly redisUrl?: string | undefined;
  readonly pagePort?: number | undefined;
  /** Users and their passwords. */
  readonly users: Readonly<Record<string, string>>;
  /** Whose the services are whose figures are shown. */
  readonly services: Readonly<Record<"api" | "worker" | "redis" | "machine", string>>;
  /** Settings of the hub, by the names of its variables. */
  readonly hub?: Readonly<Record<string, string>> | undefined;
  /** Settings of the API and the worker, by the names of their variables. */
  readonly app?: Readonly<Record<string, string>> | undefined;
  readonly log: (line: string) => void;
}

export interface Platform {
  readonly pageUrl: string;
  readonly hubUrl: string;
  readonly apiUrl: string;
  readonly redisUrl: string;
  readonly secretFile: string;
  /** `redis` is `undefined` where it was there already. */
  readonly programs: Readonly<Record<"hub" | "api" | "worker", Program>> & { readonly redis: Program | undefined };
  /** Rejects if one of them cannot be started again. */
  readonly failed: Promise<never>;
  /** Ends all of them in order, the last one first: nobody loses the one whom it talks to. */
  stop(): Promise<void>;
}

export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const { log } = options;
  const data = resolve(options.data);
  mkdirSync(data, { recursive: true });
  const started: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of started.splice(0).reverse()) await end();
  };
  try {
    return await startAll(options, data, started, stop);
  } catch (error) {
    log("something could not be started; stopping the rest");
    await stop();
    throw error;
  }
}

async function startAll(
  options: PlatformOptions,
  data: string,
  started: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<Platform> {
  const { log, watertight } = options;
  const run = async (...args: Parameters<typeof supervise>): Promise<Program> => {
    const program = await supervise(...args);
    started.push(program.stop);
    log(`${program.name}: there (pid ${program.pid()})`);
    return program;
  };
  // Settings of the hub in our environment are the hub's; it refuses names that are none of them.
  const { WATERTIGHT_BIN: _, ...inherited } = process.env;
  const pids: Record<string, number> = {};
  const secretFile = join(data, "secret");
  writeFileSync(secretFile, randomBytes(48).toString("base64url"), { mode: 0o600 });

  const [redisPort, hubPort, apiPort] = [await freePort(), await freePort(), await freePort()];
  const redisUrl = options.redisUrl ?? `redis://127.0.0.1:${redisPort}`;
  const hubUrl = `http://127.0.0.1:${hubPort}`;
  const apiUrl = `http://127.0.0.1:${apiPort}`;

  let pageUrl = "";
  const config = join(data, "hub.toml");
  // Written before the hub is started, and again when a process is: the hub reads by itself what is sampled now.
  const configure = (): void => writeConfig(config, { redisUrl, secretFile, page: new URL(pageUrl).origin, pids });

  let redis: Program | undefined;
  if (!options.redisUrl) {
    mkdirSync(join(data, "redis"), { recursive: true });
    redis = await run({
      name: "redis",
      command: "redis-server",
      // What it has taken it still has after it was killed: with `always` it is written before the answer is.
      args: [
        ...["--port", `${redisPort}`, "--bind", "127.0.0.1", "--dir", join(data, "redis")],
        ...["--appendonly", "yes", "--appendfsync", "always", "--save", ""],
      ],
      env: inherited,
      ready: /Ready to accept connections/,
      onReady: (pid) => {
        pids["redis"] = pid;
        if (pageUrl) configure();
      },
      // It says much, and what matters stands in the errors of those who use it.
      onLine: () => {},
      log,
    });
  }
  await declareOwners(redisUrl, options.services);

  // The page's address is needed by the hub, which lets its origin in; and the page needs that of the API, which is known.
  const page = await startPage(apiUrl, data, options.pagePort);
  started.push(() => page.close());
  pageUrl = page.resolvedUrls?.local[0] ?? "";

  const env = {
    ...inherited,
    ...options.app,
    REDIS_URL: redisUrl,
    HUB_URL: hubUrl,
    SECRET_FILE: secretFile,
    DATA_DIR: data,
    WATERTIGHT_BIN: watertight,
    FEED_URL: apiUrl,
    API_PORT: `${apiPort}`,
    USERS: Object.entries(options.users).map((pair) => pair.join(":")).join(","),
  };
  const program = (name: "api" | "worker", ready: RegExp): Promise<Program> =>
    run({
      name,
      command: process.execPath,
      args: ["--import", "tsx", join(root, name, "main.ts")],
      env,
      ready,
      onReady: (pid) => {
        pids[name] = pid;
        configure();
      },
      onLine: (line) => {
        if (!ready.test(line)) log(line);
      },
      // Builds are groups of their own: the worker takes them with it.
      ...(name === "worker" && { killSignal: "SIGQUIT" }),
      log,
    });
  const before = started.length;
  const api = await program("api", /^api: listening/);
  const worker = await program("worker", /^worker: waiting/);
  // The last one, so that it knows all services from the beginning; but ended behind those who still tell it something.
  const hub = await supervise({
    name: "hub",
    command: watertight,
    args: ["serve", "--config", config, "--listen", `127.0.0.1:${hubPort}`],
    env: { ...inherited, WATERTIGHT_LOG_LEVEL: "warn", ...options.hub },
    ready: /^watertight: listening on/,
    // Its log; what else it says is for those who start it by hand.
    onLine: (line, output) => {
      if (output === "stderr") log(`hub: ${line}`);
    },
    log,
  });
  started.splice(before, 0, hub.stop);
  log(`hub: there (pid ${hub.pid()})`);
  const programs = { redis, hub, api, worker };
  const failed = Promise.race(Object.values(programs).flatMap((one) => (one ? [one.failed] : [])));
  failed.catch(() => {});
  return { pageUrl, hubUrl, apiUrl, redisUrl, secretFile, programs, failed, stop };
}

/** Whose services are. Whose deployments are, the API says. */
async function declareOwners(url: string, services: Readonly<Record<string, string>>): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: 3 });
  try {
    await redis.hset(OWNERS, Object.fromEntries(Object.entries(services).map(([name, user]) => [`services/${name}`, user])));
  } finally {
    redis.disconnect();
  }
}

interface HubConfig {
  readonly redisUrl: string;
  readonly secretFile: string;
  readonly page: string;
  readonly pids: Readonly<Record<string, number>>;
}

/** The hub's file. It is moved into place, so that the hub never reads half of it. */
function writeConfig(file: string, { redisUrl, secretFile, page, pids }: HubConfig): void {
  const services = Object.entries(pids).map(([name, pid]) => `[services.${name}]\npid = ${pid}\n`);
  const text = `# Written by scripts/platform.ts. The services are read again when it changes.
token_secret_file = ${JSON.stringify(secretFile)}
token_audience = [${JSON.stringify(HUB)}]
cors_origins = [${JSON.stringify(page)}]

redis_url = ${JSON.stringify(redisUrl)}
directory = "redis"
logs_source = "redis_stream"

# A log is shown whole, and the list of deployments is no stream that ages.
max_history_per_session = 20000
max_history_bytes_per_session = "64 MiB"
event_ttl = 0

[services.machine]
host = true

${services.join("\n")}`;
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Vite's development server, which hands `/api` on to the API: for the browser both are one origin. */
async function startPage(apiUrl: string, data: string, port: number | undefined): Promise<ViteDevServer> {
  // Read by vite.config.ts.
  process.env["API_URL"] = apiUrl;
  const { createServer } = await import("vite");
  const before = process.listeners("SIGTERM");
  const server = await createServer({
    configFile: join(root, "vite.config.ts"),
    mode: "development",
    // Two platforms at once are two servers.
    cacheDir: join(data, "vite"),
    clearScreen: false,
    // That the API is away is shown by the page, and Vite would write of each attempt.
    logLevel: "silent",
    server: port === undefined ? {} : { port, strictPort: port !== 0 },
  });
  await server.listen();
  // Vite would end the process at SIGTERM, whatever there is still to stop.
  for (const listener of process.listeners("SIGTERM")) if (!before.includes(listener)) process.off("SIGTERM", listener);
  return server;
}
