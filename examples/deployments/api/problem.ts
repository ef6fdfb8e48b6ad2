import type { FastifyError, FastifyReply } from "fastify";

/** A refusal, in the form of the hub's (RFC 9457): a page treats both alike. */
export class Problem extends Error {
  readonly status: number;
  /** Stable, for programs. */
  readonly code: string;
  /** When it may be different, seconds. */
  readonly retryAfter: number | undefined;
  /** Further members of the answer. */
  readonly more: Readonly<Record<string, unknown>>;

  constructor(status: number, code: string, detail: string, { retryAfter, ...more }: Record<string, unknown> & { retryAfter?: number } = {}) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
    this.more = more;
  }
}

export const signedOut = (): Problem => new Problem(401, "UNAUTHORIZED", "nobody is signed in here");
export const noStore = (): Problem => new Problem(503, "STORE_UNAVAILABLE", "Redis does not answer at the moment", { retryAfter: 1 });
export const noHub = (): Problem => new Problem(503, "HUB_UNAVAILABLE", "the hub does not answer at the moment", { retryAfter: 1 });

/** What is thrown anywhere, as a refusal. `isStoreAway`: whether Redis is away at the moment. */
export function toProblem(thrown: unknown, isStoreAway: boolean): Problem {
  if (thrown instanceof Problem) return thrown;
  const { statusCode, message, code } = thrown as Partial<FastifyError>;
  if (statusCode && statusCode < 500) return new Problem(statusCode, code ?? "BAD_REQUEST", message ?? "");
  if (isStoreAway || /timed out|Connection is closed|max retries|LOADING/i.test(`${message}`)) return noStore();
  return new Problem(500, "INTERNAL", "a fault of this API; its log says more");
}

export function bodyOf({ status, code, message, more }: Problem): string {
  return JSON.stringify({ type: "about:blank", status, detail: message, code, ...more });
}

export function headersOf({ retryAfter }: Problem): Record<string, string> {
  return {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    ...(retryAfter !== undefined && { "retry-after": `${retryAfter}` }),
  };
}

export function answerProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  return reply.code(problem.status).headers(headersOf(problem)).send(bodyOf(problem));
}
