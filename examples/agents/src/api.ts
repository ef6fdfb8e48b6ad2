// Questions to the service.

/** A request that the service refused. `message` is for people, `code` for programs. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  /** After how long it may be asked again, milliseconds; `undefined` if that would not help. */
  readonly retryAfter: number | undefined;

  constructor(status: number, code: string, detail: string, retryAfter?: number) {
    super(detail);
    this.name = "Refusal";
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** How long an answer may take, milliseconds. */
const ANSWER_TIMEOUT = 15_000;

/**
 * Asks the service; with `body`, by POST.
 *
 * @throws Refusal if it says no; what `fetch` throws if there is no answer
 */
export async function ask<T>(path: string, { body, signal }: { body?: unknown; signal?: AbortSignal | undefined } = {}): Promise<T> {
  const timeout = AbortSignal.timeout(ANSWER_TIMEOUT);
  const answer = await fetch(path, {
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    ...(body !== undefined && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T;
  // Whatever stands between us and the service may answer in its own words.
  const problem: { code?: string; detail?: unknown } = await answer.json().catch(() => ({}));
  const detail = typeof problem.detail === "string" ? problem.detail : `The service answered ${answer.status}.`;
  const canRetry = answer.status === 408 || answer.status === 429 || answer.status >= 500;
  const seconds = Number(answer.headers.get("retry-after") ?? 1);
  throw new Refusal(answer.status, problem.code ?? "", detail, canRetry ? (Number.isFinite(seconds) ? seconds : 1) * 1_000 : undefined);
}

/** Whether asking again may help: there was no answer, or one that says so. */
export function canRetry(thrown: unknown): boolean {
  return !(thrown instanceof Refusal) || thrown.retryAfter !== undefined;
}

/** Where to watch something, and what it is by now. */
export interface Watch<Snapshot> {
  /** `null` where nothing more will come. */
  readonly url: string | null;
  readonly token: string | null;
  /** Seconds since 1970. */
  readonly expiresAt: number | null;
  /** A position in the stream that is not behind the snapshot. */
  readonly lastEventId: string | null;
  readonly snapshot: Snapshot;
}
