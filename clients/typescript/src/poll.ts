import type { AttemptTools } from "./attempt.ts";
import { SSEError } from "./errors.ts";
import { CONNECT_TIMEOUT, POLL_ANSWER_MAX, POLL_LIMIT, POLL_WAIT } from "./limits.ts";

/** What a hub answers to a long-poll. */
interface Answer {
  events: { id: string; type: string; data: string }[];
  next: string;
  gap?: { to?: string | null } | null;
  end?: unknown;
}

/** One long-poll: the same session, the same cursor, one answer instead of a stream. */
export async function poll({ attempt, host, cursor, arm, request, text, refused }: AttemptTools): Promise<void> {
  // Without a cursor the first answer has to come at once: the position in it is what nothing can be lost behind.
  const wait = cursor || host.options.replay !== undefined ? POLL_WAIT : 0;
  arm((host.options.connectTimeout ?? CONNECT_TIMEOUT) + wait * 1000);
  const response = await request("application/json", { wait, limit: POLL_LIMIT });
  if (!response) return;
  attempt.unknown = /405|406|415/.test(`${response.status}`);
  if (response.status !== 200) throw await refused(response);
  const { events, next, gap, end } = read(await text(response, POLL_ANSWER_MAX));
  if (!events || next === undefined) {
    attempt.unknown = true;
    throw new SSEError("protocol", "this is no answer to a long-poll", { retryable: true });
  }
  const event = (type: string, data: string, id: string, own = true): void => {
    if (attempt.live) host.event(type, data, id, own);
  };
  if (gap) event("gap", JSON.stringify(gap), gap.to ?? "");
  for (const { type, data, id } of events) event(type, data, id);
  if (attempt.live) host.position(next);
  if (end) event("error", JSON.stringify(end), next, false);
  if (!attempt.live) return;
  attempt.end();
  host.polled(attempt, events.length);
}

/** What there is of an answer in a body that may be anything. */
function read(text: string): Partial<Answer> {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
