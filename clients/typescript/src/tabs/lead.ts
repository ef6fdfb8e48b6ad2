import { parse } from "../answer.ts";
import { createParser } from "../parser.ts";
import type { Hello, PassedEvent, Word } from "./messages.ts";

/** How many events a leading tab keeps for tabs that come later or missed some. */
const WINDOW_EVENTS = 500;
/** And how much text in all, UTF-16 units. */
const WINDOW_LENGTH = 1024 * 1024;

/**
 * Codes of closing events that are about this tab's token alone: when its stream ends, the others come back with theirs, and
 * the hub tells each what becomes of it.
 */
const OWN_CODES = ["TOKEN_EXPIRED", "TOKEN_REVOKED", "FORBIDDEN"];

/** Connects, and passes on what comes: the answer reads like any other, and the lock is held until its end. */
export async function lead(
  key: string,
  unlock: () => void,
  connect: () => Promise<Response>,
  after: string | null,
): Promise<Response> {
  const channel = new BroadcastChannel(key);
  const say = (word: Word): void => channel.postMessage(word);
  const known: PassedEvent[] = [];
  let length = 0;
  /** The last event id; `null` while it is not known where the stream begins. */
  let at = after;
  let heartbeat = "";
  /** Something of the stream came: others can follow from here. */
  let ready = false;
  let over = false;

  const stop = (): void => {
    if (over) return;
    over = true;
    unlock();
    say({ kind: "bye" });
    channel.close();
  };

  // From the first moment on: tabs that come together ask while nobody is connected yet.
  channel.onmessage = ({ data: { kind, from, after: has } }: MessageEvent<Hello>) => {
    if (kind !== "hello") return;
    if (!ready) return say({ kind: "wait", to: from });
    const first = has === null || has === at ? known.length : known.findIndex((event) => event.before === has);
    if (first < 0) return say({ kind: "no", to: from });
    say({ kind: "welcome", to: from, at: at ?? "", heartbeat, events: known.slice(first) });
  };

  let response: Response;
  try {
    response = await connect();
  } catch (error) {
    stop();
    throw error;
  }
  const isStream = response.ok && response.headers.get("content-type")?.startsWith("text/event-stream");
  const reader = isStream && response.body?.getReader();
  if (!reader) {
    stop();
    return response;
  }
  heartbeat = response.headers.get("heartbeat-interval") ?? "";

  const push = createParser(
    {
      onEvent(type, data, id, own) {
        if (type === "error" && OWN_CODES.includes(parse<{ code: string }>(data).code ?? "")) return;
        const event = { before: at ?? "", id, type, data, own };
        at = id;
        known.push(event);
        length += data.length;
        while (known.length > WINDOW_EVENTS || length > WINDOW_LENGTH) length -= known.shift()?.data.length ?? 0;
        say({ kind: "event", ...event });
      },
      onId(id) {
        say({ kind: "id", before: at ?? "", id });
        at = id;
      },
      onRetry: (milliseconds) => say({ kind: "retry", milliseconds }),
      onComment: (text) => say({ kind: "comment", text }),
    },
    after ?? "",
    // Each tab's own client has the limit.
    Infinity,
  );

  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) {
            stop();
            return controller.close();
          }
          push(value);
          say({ kind: ready ? "beat" : "here" });
          ready = true;
          controller.enqueue(value);
        } catch (error) {
          stop();
          controller.error(error);
        }
      },
      cancel(reason) {
        stop();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, response);
}
