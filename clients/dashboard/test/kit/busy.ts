import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";
import { startHub } from "../../../../examples/react-page/scripts/hub.mjs";
import { eventsOf, openCrowd, openReader, publishTo } from "./crowd.mjs";

const SUBSCRIBERS = 10_000;
const SESSIONS = 2_000;
/** Whose reader takes nothing. */
export const LAGGING = "orders/17";
/** What the laggard leaves unread, at least; sockets hold some megabytes. */
const UNREAD_EVENTS = 400;
const UNREAD_BYTES = 32 * 1024;

const sessionOf = (n: number): string => `orders/${n % SESSIONS}`;

export interface Busy {
  readonly url: string;
  stop(): Promise<void>;
}

/** A hub at work: 10,000 subscribers of 2,000 sessions, one who lags, two logs from Redis of which one is down, some who come and go. */
export async function startBusy(binary: string): Promise<Busy> {
  const redis = await startRedis();
  const hub = await startHub({
    binary,
    log: () => {},
    settings: {
      WATERTIGHT_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      WATERTIGHT_LOGS_SOURCE: "redis_stream",
      WATERTIGHT_MEMORY_WARNING_THRESHOLD_MB: "64",
      WATERTIGHT_MEMORY_CRITICAL_THRESHOLD_MB: "96",
      // The laggard is to stay.
      WATERTIGHT_WRITE_DEADLINE: "1h",
    },
  });
  const { url } = hub;
  // Not a stream: it cannot be read as one.
  await redis.command("SET", "deployment:build-2:logs", "text");
  const crowd = await openCrowd(url, SUBSCRIBERS, sessionOf);
  const single: Socket[] = [await openReader(url, eventsOf(LAGGING))];
  for (const id of ["build-1", "build-2"]) single.push((await openReader(url, `/deployments/${id}/logs/stream`)).resume());
  for (let n = 0; n < UNREAD_EVENTS; n++) await publishTo(url, LAGGING, { n, note: "x".repeat(UNREAD_BYTES) });
  for (let n = 0; n < SESSIONS; n++) await publishTo(url, sessionOf(n), { order: n, lines: [n, n + 1] });

  let isStopped = false;
  const work = Promise.all([
    inTurns(async (turn) => {
      const count = Math.round(12 + 6 * Math.sin(turn / 100));
      await Promise.all(
        Array.from({ length: count }, () => {
          const n = Math.floor(Math.random() * SESSIONS);
          return publishTo(url, sessionOf(n), { order: n, at: new Date().toISOString(), lines: [turn, n] });
        }),
      );
    }, 100),
    inTurns(async (turn) => {
      const level = turn % 7 ? "info" : "warn";
      await redis.command("XADD", "deployment:build-1:logs", "*", "line", JSON.stringify({ level, message: `step ${turn} of the build is done` }));
    }, 500),
    // Some come back with an id that the hub never gave, and leave again.
    inTurns(async (turn) => {
      const socket = await openReader(url, `${eventsOf(sessionOf(turn))}?after=nonsense`);
      await once(socket.destroy(), "close");
    }, 20_000),
  ]);
  work.catch(() => {});

  async function inTurns(what: (turn: number) => Promise<void>, every: number): Promise<void> {
    for (let turn = 0; !isStopped; turn++) {
      await what(turn);
      await new Promise((resolve) => setTimeout(resolve, every));
    }
  }

  return {
    url,
    async stop() {
      isStopped = true;
      try {
        await work;
        expect(crowd.lost()).toBe(0);
      } finally {
        await crowd.close();
        for (const socket of single) socket.destroy();
        await hub.stop();
        await redis.stop();
      }
    },
  };
}

async function startRedis() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  const folder = await mkdtemp(join(tmpdir(), "redis-"));
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder];
  const server = spawn("redis-server", args, { stdio: "ignore" });
  const command = async (...words: string[]): Promise<string> => (await promisify(execFile)("redis-cli", ["-e", "-p", String(port), ...words])).stdout.trim();
  await expect.poll(() => command("PING").catch(() => "")).toBe("PONG");
  return {
    port,
    command,
    async stop() {
      const gone = once(server, "exit");
      server.kill();
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
