import type { FastifyInstance } from "fastify";
import type { Context } from "../app.ts";
import { take } from "../feed.ts";
import { Problem } from "../problem.ts";

interface Query {
  readonly reopen?: string;
  readonly epoch?: string;
  readonly end?: string;
  readonly exit_code?: string;
}

/** Where `watertight run` sends logs to, with the token that the worker gave it. */
export function feedRoutes(app: FastifyInstance, { redis, tokens }: Context): void {
  app.post<{ Params: { id: string }; Querystring: Query; Body: unknown }>("/deployments/:id/logs", async (request, reply) => {
    const { id } = request.params;
    await tokens.checkFeeder(request.headers.authorization, id);
    const { reopen, epoch = "", end, exit_code } = request.query;
    const exitCode = exit_code === undefined ? null : Number(exit_code);
    if (exitCode !== null && !Number.isInteger(exitCode)) throw new Problem(400, "INVALID_PARAMETER", "exit_code is a whole number");
    const ids = await take(redis, id, {
      epoch,
      reopen: reopen === "true",
      lines: typeof request.body === "string" ? request.body : "",
      end: end === "true" ? { exitCode } : undefined,
      key: String(request.headers["idempotency-key"] ?? ""),
    });
    return reply.code(202).send({ ids });
  });
}
