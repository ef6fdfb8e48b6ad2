import type { FastifyInstance } from "fastify";
import type { Context } from "../app.ts";
import { Problem } from "../problem.ts";
import { COOKIE, signIn, signOut, whoIs, type SignIn } from "../sign-ins.ts";
import { now } from "../tokens.ts";
import { checkPassword } from "../users.ts";

/** Signing in and out, and tokens for those who are signed in. */
export function sessionRoutes(app: FastifyInstance, context: Context): void {
  const { redis, settings, tokens, revocations } = context;
  // No page of another origin can have a browser send it.
  const cookie = { path: "/", httpOnly: true, sameSite: "strict" } as const;
  const shown = ({ user, expiresAt }: SignIn) => ({ user, expiresAt, hub: settings.publicHubUrl });

  app.get("/session", async (request) => shown(await context.signedIn(request)));

  app.post<{ Body: { user?: unknown; password?: unknown } | null }>("/session", async (request, reply) => {
    const { user, password } = request.body ?? {};
    if (typeof user !== "string" || typeof password !== "string" || password.length > 1_000) {
      throw new Problem(400, "MALFORMED_BODY", "user and password are texts");
    }
    await checkPassword(redis, user, password);
    const [value, it] = await signIn(redis, user, settings.signInLifetime);
    reply.setCookie(COOKIE, value, { ...cookie, maxAge: settings.signInLifetime });
    return shown(it);
  });

  app.delete("/session", async (request, reply) => {
    const value = request.cookies[COOKIE];
    const it = await whoIs(redis, value);
    if (value && it) {
      // First no new tokens, then the end of those that there are.
      await signOut(redis, value);
      await revocations.revoke(it);
    }
    return reply.clearCookie(COOKIE, cookie).code(204).send();
  });

  // For pages that go to the hub themselves. It ends with the sign-in at the latest.
  app.post("/token", async (request) => {
    const it = await context.signedIn(request);
    const expiresAt = Math.min(now() + settings.tokenLifetime, it.expiresAt);
    return { token: await tokens.viewer(it, expiresAt), expiresAt };
  });
}
