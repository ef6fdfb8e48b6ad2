import { checkEventStream, readPoll, refusal, silenceAllowed } from "./answer.ts";
import { createTimer } from "./environment.ts";
import { SSEError, toSSEError } from "./errors.ts";
import { ledger } from "./ledger.ts";
import {
  CONNECT_TIMEOUT,
  ERROR_BODY_MAX,
  POLL_ANSWER_MAX,
  POLL_LIMIT,
  POLL_WAIT,
  REFUSAL_TIMEOUT,
  RESUME_GRACE,
  SILENCE_MAX,
} from "./limits.ts";
import { createParser } from "./parser.ts";
import { buildRequest } from "./request.ts";
import type { SSEClientOptions } from "./types.ts";

/** What an attempt tells its client. Nothing of it is called once the attempt has ended. */
export interface AttemptHost {
  readonly options: SSEClientOptions<any>;
  /** The stream is there. */
  opened(): void;
  /** @param own whether the event has an id of its own */
  onEvent(type: string, text: string, id: string, own: boolean): void;
  /** The last event id changed without an event. */
  onId(id: string): void;
  onRetry(milliseconds: number): void;
  onComment: ((text: string) => void) | undefined;
  /** A long-poll was answered, with so many events; the attempt has ended. */
  polled(events: number): void;
  /** The server said that nothing more will come (204). */
  stopped(): void;
  /** The attempt has ended, exactly once. */
  lost(attempt: Attempt, error: SSEError): void;
}

/** One request, from its first step to its last, as its client sees it. */
export interface Attempt {
  /** Nothing of an attempt that is not live is heard any more. */
  live: boolean;
  /** A stream, of which at least one byte came. */
  heard: boolean;
  /** A long-poll, no stream. */
  readonly polls: boolean;
  /** When it began. */
  readonly begun: number;
  /** Gives everything back, at once; once more what came too late. */
  end(): void;
  /** Something happened (the page is shown, the network is back): a stream that is late has to prove itself. */
  wake(): void;
}

/**
 * Makes an attempt: a stream, or a long-poll of the same session with the same cursor. It begins in a microtask, so that
 * its client knows it before anything can happen to it. It owns its abort controller, its reader and its one timer, and
 * gives all three back in `end`, on every path.
 *
 * @param polling whether a long-poll was answered already
 * @param cursor the last event id delivered
 * @param refresh whether the last answer was 401
 */
export function createAttempt(
  host: AttemptHost,
  polls: boolean,
  polling: boolean,
  cursor: string,
  refresh: boolean,
): Attempt {
  const { options } = host;
  const { connectTimeout = CONNECT_TIMEOUT } = options;
  const timer = createTimer(options.clock, options.keepAlive);
  const { now } = timer;
  const controller = new AbortController();
  const { signal } = controller;
  /** The body as it came, then what reads it: what has to be cancelled. */
  let body: ReadableStream<Uint8Array> | ReadableStreamDefaultReader<Uint8Array> | null | undefined;
  let limit: number;
  let late: SSEError;
  let lastByte: number;

  const fail = (error: SSEError): void => {
    if (!attempt.live) return;
    attempt.end();
    host.lost(attempt, error);
  };

  /** From now on silence of this length ends the attempt. */
  const arm = (silence: number, error = new SSEError("timeout", `silent ${silence} ms`, { retryable: true })): void => {
    limit = Math.min(silence, SILENCE_MAX);
    late = error;
    lastByte = now();
    watch();
  };

  const watch = (): void => {
    // In thirds, so that a machine that slept is noticed soon after it woke.
    const slice = Math.min(lastByte + limit - now(), limit / 3 + 1);
    timer.set(slice, () => (Math.abs(now() - lastByte) < limit ? watch() : fail(late)));
  };

  /** Reads the body until its end, or until `chunk` says false, or until the attempt is ended. */
  const read = async (response: Response, chunk: (bytes: Uint8Array) => unknown): Promise<void> => {
    const reader = response.body?.getReader();
    body = reader;
    while (reader) {
      const { done, value } = await reader.read();
      if (!attempt.live || done || chunk(value) === false) return;
      // Only a stream may go on for ever. Every byte begins the silence anew, which costs one assignment.
      if (attempt.heard) lastByte = now();
    }
  };

  /** The body as text, cut off where it is longer than `max`. */
  const text = async (response: Response, max: number): Promise<string> => {
    const decoder = new TextDecoder();
    let all = "";
    await read(response, (bytes) => (all += decoder.decode(bytes, { stream: true })).length <= max);
    return all;
  };

  const poll = async (response: Response): Promise<void> => {
    const answer = readPoll(await text(response, POLL_ANSWER_MAX));
    if (!answer) throw new SSEError("protocol", "no poll");
    const { events, next, gap, end } = answer;
    if (gap) events.unshift({ type: "gap", data: JSON.stringify(gap), id: gap.to ?? "" });
    if (end) events.push({ type: "error", data: JSON.stringify(end), id: next });
    for (const { type, data, id } of events) {
      host.onEvent(type, data, id, true);
      if (!attempt.live) return;
    }
    host.onId(next);
    attempt.end();
    host.polled(events.length);
  };

  const stream = async (response: Response): Promise<void> => {
    const heartbeat = response.headers.get("heartbeat-interval");
    const push = createParser(host, cursor, options.maxEventBytes, () => attempt.live);
    const open = (): void => {
      arm(options.readTimeout ?? silenceAllowed(heartbeat));
      host.opened();
    };
    checkEventStream(response);
    // A hub writes its first bytes at once. If they do not come, somebody on the way keeps them: no stream yet.
    if (!heartbeat) open();
    await read(response, (bytes) => {
      if (heartbeat && !attempt.heard) open();
      attempt.heard = true;
      push(bytes);
    });
    throw new SSEError("network", "stream ended", { retryable: true });
  };

  const run = async (): Promise<void> => {
    arm(connectTimeout + (polls ? POLL_WAIT * 1000 : 0));
    const request = await buildRequest(options, { signal, refresh }, cursor, polls && {
      // The first is to be answered at once: it tells that this way works, and the position in it is what nothing is lost behind.
      wait: polling ? POLL_WAIT : 0,
      limit: POLL_LIMIT,
    });
    if (!attempt.live) return;
    const response = await (options.fetch ?? fetch)(...request);
    const { status, headers } = response;
    body = response.body;
    if (!attempt.live) attempt.end();
    else if (status === 204) host.stopped();
    else if (status < 300) {
      await (polls ? poll(response) : stream(response));
    } else {
      const error = refusal(response, "", now());
      if (!/json/.test(headers.get("content-type") as string)) throw error;
      // With the server's own words, if they come soon.
      arm(REFUSAL_TIMEOUT, error);
      throw refusal(response, await text(response, ERROR_BODY_MAX).catch(() => ""), now());
    }
  };

  const attempt: Attempt = {
    live: true,
    heard: false,
    polls,
    begun: now(),
    end() {
      ledger.attempts -= +attempt.live;
      attempt.live = false;
      timer.clear();
      // The body first: a fetch that takes no heed of its signal must not keep the socket. It cannot fail in a way that
      // matters.
      controller.abort();
      body?.cancel().catch(() => {});
    },
    wake() {
      if (!attempt.heard || now() - lastByte < limit / 2) return;
      lastByte = Math.min(lastByte, now() - limit + RESUME_GRACE);
      watch();
    },
  };
  ledger.attempts++;
  queueMicrotask(() => attempt.live && run().catch((thrown) => fail(toSSEError(thrown))));
  return attempt;
}
