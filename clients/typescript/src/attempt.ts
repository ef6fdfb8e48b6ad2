import { checkEventStream, isProblem, readClosingEvent, readPoll, refusal, silenceAllowed } from "./answer.ts";
import { createBody } from "./body.ts";
import type { Cursor } from "./cursor.ts";
import type { Delivery } from "./delivery.ts";
import type { Time } from "./environment.ts";
import { SSEError, toSSEError } from "./errors.ts";
import type { Way } from "./fallback.ts";
import { ledger } from "./ledger.ts";
import { CONNECT_TIMEOUT, ERROR_BODY_MAX, HEALTHY_AFTER, MAX_EVENT_BYTES, POLL_ANSWER_MAX, POLL_WAIT, REFUSAL_TIMEOUT } from "./limits.ts";
import { createParser, tooLarge } from "./parser.ts";
import { buildRequest, send } from "./request.ts";
import { watchSilence } from "./silence.ts";
import type { CloseReason, SSEClientOptions } from "./types.ts";
import { mayRefresh } from "./verdict.ts";

/** What an attempt needs of its client, and tells it. Nothing of it is called once the attempt has ended. */
export interface AttemptHost {
  readonly options: SSEClientOptions<any>;
  readonly time: Time;
  readonly cursor: Cursor;
  readonly delivery: Delivery;
  /** The stream is there. */
  opened(): void;
  /** The first event is there. */
  progressed(): void;
  /** The server names the base of the back-off, milliseconds. */
  onRetry(milliseconds: number): void;
  /** The attempt has ended by itself, exactly once. */
  ended(outcome: Outcome): void;
}

/** What kind of attempt it is to be. */
export interface AttemptPlan {
  readonly way: Way;
  /** Of a long-poll: how long the hub may wait for events, seconds. */
  readonly wait: number;
  /** The credentials of the last attempt are known to be over. */
  readonly refresh: boolean;
}

/** How an attempt ended: with a reason nothing more will come; with neither reason nor failure a long-poll was answered. */
export interface Outcome {
  readonly way: Way;
  readonly reason: CloseReason | undefined;
  readonly failure: SSEError | undefined;
  /** An event came, or bytes over a long time. */
  readonly isHealthy: boolean;
  /** Whether streams get through, as far as this one shows. */
  readonly hasStreamed: boolean;
}

/** An attempt that may not have ended yet. */
export interface Attempt {
  /** Gives everything back, at once. */
  end(): void;
  /** Something happened (the page is shown, the network is back): a stream that is silent has to prove itself. */
  wake(): void;
}

/**
 * One request, from its first step to its last: a stream, or a long-poll of the same session with the same cursor. After a 401
 * it asks the application for other credentials and sends one more. It begins in a microtask, so that its client knows it before
 * anything can happen to it. It owns its abort controller, its reader and its one timer, and gives all three back in `end`, on
 * every path.
 */
export function beginAttempt(host: AttemptHost, { way, wait, refresh }: AttemptPlan): Attempt {
  const { options, time, cursor, delivery } = host;
  const isPoll = way === "poll";
  const controller = new AbortController();
  const { signal } = controller;
  const begunAt = time.now();
  /** It speaks as a hub does: `error` and `gap` are its own words. */
  let isHub = options.url === undefined || isPoll;
  /** When the last byte of the stream came. */
  let lastByteAt = -Infinity;
  let hasProgress = false;
  /** Why the hub is about to close the stream. */
  let closingEvent: SSEError | undefined;

  const isLive = (): boolean => !signal.aborted;

  const body = createBody(isLive);

  const end = (): void => {
    if (isLive()) ledger.attempts--;
    silence.clear();
    controller.abort();
    body.giveBack();
  };

  const settle = (reason: CloseReason | undefined, error?: SSEError): void => {
    if (!isLive()) return;
    end();
    // What ends a client for good is not mended by what the hub said before.
    const failure = error?.retryable === false ? error : (closingEvent ?? error);
    const isSessionOver = failure?.code === "SESSION_ENDED" && failure === closingEvent;
    const wasWell = lastByteAt - begunAt >= HEALTHY_AFTER;
    host.ended({
      way,
      failure,
      reason: isSessionOver ? "session-ended" : reason,
      isHealthy: hasProgress || wasWell,
      // First bytes and then silence are no stream: somebody on the way keeps the rest.
      hasStreamed: wasWell || (lastByteAt >= begunAt && failure?.kind !== "timeout"),
    });
  };

  const silence = watchSilence(time, (error) => settle(undefined, error));

  const sink = {
    onEvent(type: string, text: string, id: string, own: boolean): void {
      const isHubError = isHub && type === "error";
      // Other servers than hubs may count as they like.
      if (!own || !isHub || isHubError) cursor.jump(id);
      else if (!cursor.take(type, text, id)) return;
      if (isHubError) closingEvent = readClosingEvent(text);
      else if (!hasProgress) {
        hasProgress = true;
        host.progressed();
      }
      delivery.event(type, text, id);
    },
    onId: cursor.pass,
    onRetry: host.onRetry,
    onComment: delivery.comment,
  };

  /** @throws where the attempt has ended meanwhile; gives back what came after that */
  const goOn = (): void => {
    if (isLive()) return;
    body.giveBack();
    throw signal.reason;
  };

  const ask = async (isRefresh: boolean): Promise<Response> => {
    goOn();
    silence.allow((options.connectTimeout ?? CONNECT_TIMEOUT) + (isPoll ? POLL_WAIT * 1000 : 0));
    delivery.debug({ type: "attempt", way, refresh: isRefresh, cursor: cursor.resume });
    const request = await buildRequest(options, { signal, refresh: isRefresh }, cursor.resume, isPoll ? wait : undefined);
    goOn();
    const response = await send(options.fetch ?? globalThis.fetch, ...request);
    body.hold(response);
    goOn();
    return response;
  };

  const run = async (): Promise<CloseReason | undefined> => {
    let response = await ask(refresh);
    if (!refresh && mayRefresh(options, response.status)) {
      body.giveBack();
      response = await ask(true);
    }
    if (response.status === 204) return "no-content";
    if (response.status >= 300) throw await readRefusal(response);
    return isPoll ? poll(response) : stream(response);
  };

  const stream = async (response: Response): Promise<CloseReason> => {
    const heartbeat = response.headers.get("heartbeat-interval");
    checkEventStream(response);
    isHub ||= heartbeat !== null;
    const push = createParser(sink, cursor.id, options.maxEventBytes, isLive);
    const open = (): void => {
      silence.allow(options.readTimeout ?? silenceAllowed(heartbeat));
      host.opened();
    };
    // A hub writes its first bytes at once. If they do not come, somebody on the way keeps them: no stream yet.
    if (heartbeat === null) open();
    await body.read(response, (bytes) => {
      if (heartbeat !== null && lastByteAt < begunAt) open();
      lastByteAt = time.now();
      silence.reset();
      push(bytes);
    });
    // The answer to anything but a GET is over when it ends, unless a hub gave it.
    const { method = "GET", onEnd = isHub || method.toUpperCase() === "GET" ? "reconnect" : "stop" } = options;
    if (onEnd === "stop" && !closingEvent) return "ended";
    throw new SSEError("network", "stream ended");
  };

  const poll = async (response: Response): Promise<undefined> => {
    const { events, next, gap, end: closing } = readPoll(await body.readText(response, POLL_ANSWER_MAX));
    if (gap) events.unshift({ type: "gap", data: JSON.stringify(gap), id: gap.to ?? "" });
    if (closing) events.push({ type: "error", data: JSON.stringify(closing), id: next });
    const { maxEventBytes = MAX_EVENT_BYTES } = options;
    for (const { type, data, id } of events) {
      goOn();
      if (new TextEncoder().encode(type + data + id).length > maxEventBytes) throw tooLarge(maxEventBytes);
      sink.onEvent(type, data, id, true);
    }
    goOn();
    sink.onId(next);
  };

  /** With the server's own words, if they come soon. */
  const readRefusal = async (response: Response): Promise<SSEError> => {
    const now = time.wall();
    const error = refusal(response, "", now);
    silence.allow(REFUSAL_TIMEOUT, error);
    return isProblem(response) ? refusal(response, await body.readText(response, ERROR_BODY_MAX).catch(() => ""), now) : error;
  };

  ledger.attempts++;
  void Promise.resolve()
    .then(run)
    .then(settle, (thrown) => settle(undefined, toSSEError("network", thrown, "no connection")));

  return {
    end,
    wake: () => {
      if (lastByteAt >= begunAt) silence.doubt();
    },
  };
}
