import { whenUnlocked } from "./lock.ts";
import { encode, type Hello, type Word } from "./messages.ts";

/** How long a leading tab has to answer, milliseconds; one that is frozen never does. */
export const WELCOME_TIMEOUT = 2_000;
/** How many events and heartbeats may wait to be read. Beyond that the tab connects anew, from where it is. */
const WORDS_MAX = 10_000;

/**
 * The leading tab's stream, from `after` on. `undefined` if there is none to be had: connect yourself. `vacant` if nobody
 * leads any more.
 */
export function follow(
  key: string,
  after: string | null,
  signal?: AbortSignal,
): Promise<Response | "vacant" | undefined> {
  const channel = new BroadcastChannel(key);
  const me = crypto.randomUUID();
  const done = new AbortController();
  const encoder = new TextEncoder();
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** The last event id that was passed on. */
  let at = "";

  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      done.abort();
      channel.close();
    };
    /** The stream is over; the client comes back, here or as the one that leads. */
    const fail = (reason: unknown): void => {
      stop();
      if (controller) controller.error(reason);
      else resolve("vacant");
    };
    /** Nobody whom we could follow. */
    const give = (): void => {
      stop();
      resolve(undefined);
    };
    const aborted = (): void => {
      reject(signal?.reason);
      fail(signal?.reason);
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = (): void => {
      clearTimeout(timer);
      timer = setTimeout(give, WELCOME_TIMEOUT);
      channel.postMessage({ kind: "hello", from: me, after } satisfies Hello);
    };
    const write = (text: string): void => {
      controller?.enqueue(encoder.encode(text));
      if (controller && (controller.desiredSize ?? 0) <= 0) fail(new TypeError("this tab does not read"));
    };

    const listen = (word: Word): void => {
      if (!controller) {
        if (word.kind === "here") return ask();
        if (word.kind === "bye") return fail(undefined);
        if (!("to" in word) || word.to !== me) return;
        // Its own time-out, or the client's of this tab, ends a wait for a server that never answers.
        if (word.kind === "wait") return clearTimeout(timer);
        if (word.kind === "no") return give();
        clearTimeout(timer);
        at = word.at;
        const body = new ReadableStream<Uint8Array>(
          { start: (own) => void (controller = own), cancel: stop },
          { highWaterMark: WORDS_MAX },
        );
        const headers = { "content-type": "text/event-stream", "heartbeat-interval": word.heartbeat };
        if (!word.heartbeat) delete (headers as Partial<typeof headers>)["heartbeat-interval"];
        resolve(new Response(body, { headers }));
        write("\n" + word.events.map(encode).join("") + (at ? `id: ${at}\n\n` : ""));
      } else if (word.kind === "bye") {
        fail(new TypeError("the tab that connected for this one closed its stream"));
      } else if (word.kind === "beat") {
        // A blank line means nothing, and is a sign of life.
        write("\n");
      } else if (word.kind === "comment") {
        write(`:${word.text}\n`);
      } else if (word.kind === "retry") {
        write(`retry: ${word.milliseconds}\n\n`);
      } else if (word.kind === "event" || word.kind === "id") {
        if (word.before !== at) return fail(new TypeError("this tab missed an event"));
        at = word.id;
        write(word.kind === "id" ? `id: ${at}\n\n` : encode(word));
      }
    };

    channel.onmessage = ({ data }: MessageEvent<Word>) => listen(data);
    signal?.addEventListener("abort", aborted);
    if (signal?.aborted) return aborted();
    whenUnlocked(key, done.signal, () => fail(new TypeError("the tab that connected for this one is gone")));
    ask();
  });
}
