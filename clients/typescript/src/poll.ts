import { Attempt } from "./attempt.ts";
import { SSEError } from "./errors.ts";
import { POLL_ANSWER_MAX, POLL_LIMIT, POLL_WAIT } from "./limits.ts";

interface Answer {
  events: { id: string; type: string; data: string }[];
  next: string;
  gap?: { to?: string | null } | null;
  end?: unknown;
}

/** One long-poll: the same session, the same cursor, one answer instead of a stream. */
export class PollAttempt extends Attempt {
  /** The server does not know long-polls: no use in asking again. */
  unknown = false;

  protected async run(): Promise<void> {
    const { host } = this;
    // Without a cursor the first answer has to come at once: the position in it is what nothing can be lost behind.
    const wait = host.cursor || host.options.replay !== undefined ? POLL_WAIT : 0;
    this.arm(this.connectTimeout + wait * 1000);
    const response = await this.request("application/json", {
      after: host.cursor || undefined,
      wait: String(wait),
      limit: String(POLL_LIMIT),
    });
    if (!response) return;
    const { status } = response;
    if (status === 204) return host.stopped(this);
    this.unknown = status === 405 || status === 406 || status === 415;
    if (status !== 200) throw await this.refused(response);
    const answer = read(await this.text(response, POLL_ANSWER_MAX));
    if (!this.live) return;
    if (!answer) {
      this.unknown = true;
      throw new SSEError("protocol", "the answer to a long-poll is none", { retryable: true });
    }
    if (answer.gap) host.event("gap", JSON.stringify(answer.gap), answer.gap.to ?? "", true);
    for (const { id, type, data } of answer.events) if (this.live) host.event(type, data, id, true);
    if (this.live) host.position(answer.next);
    if (this.live && answer.end) host.event("error", JSON.stringify(answer.end), answer.next, false);
    if (!this.live) return;
    this.end();
    host.polled(this, answer.events.length);
  }
}

/** The answer, if it is one. */
function read(text: string): Answer | undefined {
  try {
    const answer = JSON.parse(text) as Answer | null;
    const good = Array.isArray(answer?.events) && typeof answer.next === "string";
    return good ? answer : undefined;
  } catch {
    return;
  }
}
