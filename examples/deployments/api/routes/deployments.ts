import type { FastifyInstance } from "fastify";
import type { Context } from "../app.ts";
import { createDeployment, giveDeployment, listDeployments, ownerOf, PROJECTS } from "../deployments.ts";
import { Problem } from "../problem.ts";
import type { SignIn } from "../sign-ins.ts";
import { listSession, now, type Tokens } from "../tokens.ts";
import { isUser } from "../users.ts";

/** How long a page waits for the hub to say where the list's stream stands, milliseconds: it can do without. */
const POSITION_TIMEOUT = 2_000;

/** The list of deployments, new ones, and giving them away. */
export function deploymentRoutes(app: FastifyInstance, context: Context): void {
  const { redis, tokens, announcer, settings } = context;

  app.get("/deployments", async (request) => {
    const it = await context.signedIn(request);
    // First where the stream stands, then the snapshot: what happens in between comes twice, and nothing is missed.
    const lastEventId = await positionOf(settings.hubUrl, tokens, it);
    return { deployments: await listDeployments(redis, it.user), lastEventId };
  });

  app.post<{ Body: { project?: unknown } | null }>("/deployments", async (request, reply) => {
    const { user } = await context.signedIn(request);
    const project = PROJECTS.find((name) => name === request.body?.project);
    if (!project) throw new Problem(400, "NO_SUCH_PROJECT", `there are ${PROJECTS.join(", ")}`);
    const deployment = await createDeployment(redis, user, project);
    announcer.announce(deployment.id);
    return reply.code(201).send(deployment);
  });

  app.put<{ Params: { id: string }; Body: { owner?: unknown } | null }>("/deployments/:id/owner", async (request, reply) => {
    const { user } = await context.signedIn(request);
    const { id } = request.params;
    const { owner } = request.body ?? {};
    // Nobody learns which ids others have.
    const notFound = new Problem(404, "RESOURCE_NOT_FOUND", "there is no such deployment");
    if ((await ownerOf(redis, id)) !== user) throw notFound;
    if (typeof owner !== "string" || !(await isUser(redis, owner))) throw new Problem(400, "NO_SUCH_USER", "there is no such user");
    if (!(await giveDeployment(redis, id, user, owner))) throw notFound;
    announcer.announce(id, user);
    return reply.code(204).send();
  });
}

/** Where the stream of a user's list stands now; `null` if the hub does not say. */
async function positionOf(hubUrl: string, tokens: Tokens, it: SignIn): Promise<string | null> {
  try {
    const answer = await fetch(`${hubUrl}/sessions/${listSession(it.user)}/events?wait=0`, {
      headers: { accept: "application/json", authorization: `Bearer ${await tokens.viewer(it, Math.min(now() + 60, it.expiresAt))}` },
      signal: AbortSignal.timeout(POSITION_TIMEOUT),
    });
    const { next } = (await answer.json()) as { next?: unknown };
    return answer.ok && typeof next === "string" ? next : null;
  } catch {
    // The page begins with all that the hub still has, once it is back.
    return null;
  }
}
