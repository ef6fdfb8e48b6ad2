import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { createApp } from "../../api/app.ts";
import { connect } from "../../api/store.ts";
import { Tokens } from "../../api/tokens.ts";
import { freePort, supervise, type Program } from "../../scripts/supervise.ts";

export const SECRET = new TextEncoder().encode("x".repeat(48));
export const TOKENS = new Tokens(SECRET);
/** Nobody listens there. */
export const NOWHERE = "http://127.0.0.1:9";

/** The API and its Redis, without a hub. */
export interface Api {
  readonly url: string;
  readonly redisUrl: string;
  /** A connection of the test's own. */
  readonly redis: Redis;
  readonly server: Program;
  /** Where Redis keeps what it has. */
  readonly folder: string;
  stop(): Promise<void>;
}

export async function startApi(): Promise<Api> {
  const folder = mkdtempSync(join(tmpdir(), "deployments-api-"));
  const port = await freePort();
  const server = await supervise({
    name: "redis",
    command: "redis-server",
    // As in scripts/platform.ts: what was answered is written.
    args: ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--appendfsync", "always", "--save", ""],
    env: process.env,
    ready: /Ready to accept connections/,
    onLine: () => {},
    log: () => {},
  });
  const redisUrl = `redis://127.0.0.1:${port}`;
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  // Tests take it away.
  redis.on("error", () => {});
  const store = connect(redisUrl);
  const secrets = { secret: SECRET, tokenLifetime: 60, signInLifetime: 60, users: [] };
  const app = await createApp({ port: 0, redisUrl, hubUrl: NOWHERE, publicHubUrl: NOWHERE, ...secrets }, store);
  return {
    url: await app.listen({ host: "127.0.0.1", port: 0 }),
    redisUrl,
    redis,
    server,
    folder,
    async stop() {
      await app.close();
      store.disconnect();
      redis.disconnect();
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
