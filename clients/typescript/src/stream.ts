import { checkEventStream } from "./answer.ts";
import { Attempt } from "./attempt.ts";
import { SSEError } from "./errors.ts";
import { HEARTBEAT, READ_TIMEOUT_MAX, READ_TIMEOUT_MIN, SILENT_HEARTBEATS } from "./limits.ts";
import { Parser } from "./parser.ts";

/** One event stream, from its request to its end. */
export class StreamAttempt extends Attempt {
  #parser: Parser | undefined;

  override end(): void {
    this.#parser?.stop();
    super.end();
  }

  protected async run(): Promise<void> {
    const { host } = this;
    const response = await this.request("text/event-stream", {});
    if (!response) return;
    if (response.status === 204) return host.stopped(this);
    if (response.status >= 300) throw await this.refused(response);
    checkEventStream(response);
    const parser = (this.#parser = new Parser(
      {
        onEvent: (type, text, id, own) => host.event(type, text, id, own),
        onId: (id) => host.position(id),
        onRetry: (milliseconds) => host.retry(milliseconds),
        ...(host.comment && { onComment: host.comment }),
      },
      { lastEventId: host.cursor, maxEventBytes: host.options.maxEventBytes },
    ));
    const heartbeat = Number(response.headers.get("heartbeat-interval"));
    // A hub writes its first bytes at once. If they do not come, somebody on the way keeps them: no stream yet.
    if (!heartbeat) this.#open(HEARTBEAT);
    await this.read(response, (bytes) => {
      if (!this.opened) this.#open(heartbeat * 1000);
      parser.push(bytes);
    });
    this.fail(new SSEError("network", "the stream ended", { retryable: true }));
  }

  #open(heartbeat: number): void {
    const silence = Math.min(Math.max(heartbeat * SILENT_HEARTBEATS, READ_TIMEOUT_MIN), READ_TIMEOUT_MAX);
    this.opened = true;
    this.arm(this.host.options.readTimeout ?? silence);
    this.host.opened(this);
  }
}
