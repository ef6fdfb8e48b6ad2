import cookie from "@fastify/cookie";
import fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import type { Redis } from "ioredis";
import { Announcer } from "./announcer.ts";
import { answerProblem, signedOut, toProblem } from "./problem.ts";
import { Relays } from "./relay.ts";
import { Revocations } from "./revocations.ts";
import { deploymentRoutes } from "./routes/deployments.ts";
import { feedRoutes } from "./routes/feed.ts";
import { sessionRoutes } from "./routes/session.ts";
import { streamRoutes } from "./routes/streams.ts";
import type { ApiSettings } from "./settings.ts";
import { COOKIE, whoIs, type SignIn } from "./sign-ins.ts";
import { Tokens } from "./tokens.ts";

/** What the routes have in common. */
export interface Context {
  readonly settings: ApiSettings;
  readonly redis: Redis;
  readonly tokens: Tokens;
  readonly relays: Relays;
  readonly revocations: Revocations;
  readonly announcer: Announcer;
  /** @throws Problem 401 */
  signedIn(request: FastifyRequest): Promise<SignIn>;
}

/** Longest body, bytes: `watertight run` sends 256 KiB at once, or one line of 255 KiB that JSON made longer. */
const BODY_MAX = 1024 * 1024;

/** The API. `close` ends everything it has begun, except `redis`. */
export async function createApp(settings: ApiSettings, redis: Redis): Promise<FastifyInstance> {
  const tokens = new Tokens(settings.secret);
  const context: Context = {
    settings,
    redis,
    tokens,
    relays: new Relays(),
    revocations: new Revocations(redis, tokens, settings.hubUrl),
    announcer: new Announcer(redis, tokens, settings.hubUrl),
    async signedIn(request) {
      const found = await whoIs(redis, request.cookies[COOKIE]);
      if (!found) throw signedOut();
      return found;
    },
  };
  const app = fastify({ bodyLimit: BODY_MAX, forceCloseConnections: true, return503OnClosing: true });
  // A page of another origin can send a form or plain text without being asked, but no JSON.
  app.removeContentTypeParser("text/plain");
  app.addContentTypeParser("application/x-ndjson", { parseAs: "string" }, (_, body, done) => done(null, body));
  app.setErrorHandler((error, _, reply) => {
    const problem = toProblem(error, redis.status !== "ready");
    if (problem.status === 500) console.error(error);
    return answerProblem(reply, problem);
  });
  await app.register(cookie);
  app.addHook("onSend", async (_, reply) => {
    if (!reply.hasHeader("cache-control")) reply.header("cache-control", "no-store");
  });
  app.addHook("preClose", async () => {
    context.relays.stop();
    await Promise.all([context.revocations.stop(), context.announcer.stop()]);
  });
  app.get("/health", async () => ({
    redis: redis.status === "ready",
    relays: { live: context.relays.live, opened: context.relays.opened, closed: context.relays.opened - context.relays.live },
  }));
  sessionRoutes(app, context);
  deploymentRoutes(app, context);
  streamRoutes(app, context);
  feedRoutes(app, context);
  context.revocations.start();
  return app;
}
