import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Context } from "../app.ts";
import { listSession } from "../tokens.ts";

/**
 * The platform's own streams, relayed from the hub. They are as long as the sign-in is: the token that the relay shows ends with it, and
 * signing out revokes it. Whose a deployment is, the hub asks, now and while the stream is open.
 */
export function streamRoutes(app: FastifyInstance, { signedIn, tokens, relays, settings }: Context): void {
  const relay = async (request: FastifyRequest, reply: FastifyReply, path: (user: string) => string): Promise<FastifyReply> => {
    const it = await signedIn(request);
    const token = await tokens.viewer(it, it.expiresAt);
    const query = request.raw.url?.split("?")[1];
    relays.begin(request, reply, new URL(settings.hubUrl + path(it.user) + (query ? `?${query}` : "")), token);
    return reply;
  };

  app.get("/services/metrics/stream", (request, reply) => relay(request, reply, () => "/services/metrics/stream"));

  app.get<{ Params: { id: string } }>("/deployments/:id/logs/stream", (request, reply) =>
    relay(request, reply, () => `/deployments/${encodeURIComponent(request.params.id)}/logs/stream`),
  );

  app.get("/deployments/stream", (request, reply) =>
    relay(request, reply, (user) => `/sessions/${encodeURIComponent(listSession(user))}/events`),
  );
}
