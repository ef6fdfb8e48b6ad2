import { checkEventStream } from "./answer.ts";
import type { AttemptTools } from "./attempt.ts";
import { SSEError } from "./errors.ts";
import { HEARTBEAT, READ_TIMEOUT_MAX, READ_TIMEOUT_MIN, SILENT_HEARTBEATS } from "./limits.ts";
import { Parser } from "./parser.ts";

/** One event stream, from its request to its end. */
export async function stream({ attempt, host, cursor, arm, request, read, refused }: AttemptTools): Promise<void> {
  const response = await request("text/event-stream");
  if (!response) return;
  if (response.status >= 300) throw await refused(response);
  checkEventStream(response);
  const { maxEventBytes, readTimeout } = host.options;
  const parser = new Parser(
    { onEvent: host.event, onId: host.position, onRetry: host.retry, onComment: host.comment, live: () => attempt.live },
    { lastEventId: cursor, maxEventBytes },
  );
  const heartbeat = Number(response.headers.get("heartbeat-interval")) * 1000;
  const open = (): void => {
    const silence = Math.max((heartbeat || HEARTBEAT) * SILENT_HEARTBEATS, READ_TIMEOUT_MIN);
    arm(readTimeout ?? Math.min(silence, READ_TIMEOUT_MAX));
    host.opened();
  };
  // A hub writes its first bytes at once. If they do not come, somebody on the way keeps them: no stream yet.
  if (!heartbeat) open();
  await read(response, (bytes) => {
    if (heartbeat && !attempt.heard) open();
    attempt.heard = true;
    parser.push(bytes);
  });
  throw new SSEError("network", "the stream ended", { retryable: true });
}
