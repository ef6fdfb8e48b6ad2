import { refusal } from "./answer.ts";
import { createTimer } from "./environment.ts";
import { SSEError, toSSEError } from "./errors.ts";
import { ledger } from "./ledger.ts";
import { CONNECT_TIMEOUT, ERROR_BODY_MAX, REFUSAL_TIMEOUT, RESUME_GRACE } from "./limits.ts";
import { buildRequest, type Query } from "./request.ts";
import type { SSEClientOptions } from "./types.ts";

/** What an attempt tells its client. Nothing of it is called once the attempt has ended. */
export interface AttemptHost {
  readonly options: SSEClientOptions<any>;
  /** The stream is there. */
  opened(): void;
  /** @param own whether the event has an id of its own */
  event(type: string, text: string, id: string, own: boolean): void;
  position(id: string): void;
  retry(milliseconds: number): void;
  comment: ((text: string) => void) | undefined;
  /** A long-poll was answered, with so many events; the attempt has ended. */
  polled(attempt: Attempt, events: number): void;
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
  /** The server does not know long-polls: no use in asking again. */
  unknown: boolean;
  /** A long-poll, no stream. */
  readonly polls: boolean;
  /** When it began. */
  readonly begun: number;
  /** Begins. Apart from the making, so that the client knows its attempt before anything can happen to it. */
  start(): void;
  /** Gives everything back, at once. */
  end(): void;
  /** Something happened (the page is shown, the network is back): a stream that is late has to prove itself. */
  wake(): void;
}

/** What the two kinds of attempt work with. */
export interface AttemptTools {
  readonly attempt: Attempt;
  readonly host: AttemptHost;
  /** The last event id delivered when the attempt began. */
  readonly cursor: string;
  /** From now on silence of this length ends the attempt. */
  arm(limit: number, error?: SSEError): void;
  /** Sends the request. `undefined`: the attempt was ended meanwhile, or there is nothing more to come. */
  request(accept: string, query?: Query): Promise<Response | undefined>;
  /** Reads the body until its end, or until `chunk` says false, or until the attempt is ended. */
  read(response: Response, chunk: (bytes: Uint8Array) => boolean | void): Promise<void>;
  /** The body as text, cut off where it is longer than `max`. */
  text(response: Response, max: number): Promise<string>;
  /** The error that a refusal is, with the server's words if they come soon. */
  refused(response: Response): Promise<SSEError>;
}

/**
 * Makes an attempt. It owns its abort controller, its reader and its one timer, and gives all three back in `end`, on
 * every path.
 */
export function createAttempt(
  host: AttemptHost,
  polls: boolean,
  cursor: string,
  refresh: boolean,
  run: (tools: AttemptTools) => Promise<void>,
): Attempt {
  const { options } = host;
  const timer = createTimer(options.clock, options.keepAlive);
  const { now } = timer;
  const controller = new AbortController();
  const { signal } = controller;
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  let limit: number;
  let late: SSEError | undefined;
  let lastByte: number;
  let checkAt: number;

  const fail = (error: SSEError): void => {
    if (!attempt.live) return;
    attempt.end();
    host.lost(attempt, error);
  };

  const check = (): void => {
    // We were suspended, and what arrived meanwhile has not been read yet: a moment's grace.
    if (now() - checkAt > RESUME_GRACE) lastByte = Math.max(lastByte, now() - limit + RESUME_GRACE);
    if (now() - lastByte < limit) return watch();
    fail(late ?? new SSEError("timeout", `nothing came for ${limit} ms`, { retryable: true }));
  };

  const watch = (): void => {
    // In thirds, so that a machine that slept is noticed soon after it woke.
    const slice = Math.min(lastByte + limit - now(), limit / 3 + 1);
    checkAt = now() + slice;
    if (slice < Infinity) timer.set(slice, check);
    else timer.clear();
  };

  const attempt: Attempt = {
    live: true,
    heard: false,
    unknown: false,
    polls,
    begun: now(),
    start() {
      tools.arm(options.connectTimeout ?? CONNECT_TIMEOUT);
      run(tools).catch((thrown) => fail(toSSEError(thrown)));
    },
    end() {
      if (!attempt.live) return;
      attempt.live = false;
      ledger.attempts--;
      timer.clear();
      // The body first: a fetch that takes no heed of its signal must not keep the socket.
      reader?.cancel().catch(ignore);
      controller.abort();
    },
    wake() {
      if (!attempt.heard || now() - lastByte < limit / 2) return;
      lastByte = Math.min(lastByte, now() - limit + RESUME_GRACE);
      watch();
    },
  };

  const tools: AttemptTools = {
    attempt,
    host,
    cursor,
    arm(milliseconds, error) {
      limit = milliseconds;
      late = error;
      lastByte = now();
      watch();
    },
    async request(accept, query) {
      const request = await buildRequest(options, { signal, refresh }, accept, cursor, query);
      if (!attempt.live) return;
      const response = await (options.fetch ?? fetch)(...request);
      if (attempt.live && response.status !== 204) return response;
      response.body?.cancel().catch(ignore);
      if (attempt.live) host.stopped();
      return;
    },
    async read({ body }, chunk) {
      reader = body?.getReader();
      while (reader) {
        const { done, value } = await reader.read();
        if (!attempt.live || done) return;
        if (chunk(value) === false) return;
        // Only a stream may go on for ever. Every byte begins the silence anew, which costs one assignment.
        if (attempt.heard) lastByte = now();
      }
    },
    async text(response, max) {
      const decoder = new TextDecoder();
      let text = "";
      await tools.read(response, (bytes) => {
        text += decoder.decode(bytes, { stream: true });
        return text.length <= max;
      });
      return text;
    },
    async refused(response) {
      const error = refusal(response, "", now());
      if (!/json/.test(response.headers.get("content-type") ?? "")) return error;
      tools.arm(REFUSAL_TIMEOUT, error);
      return refusal(response, await tools.text(response, ERROR_BODY_MAX).catch(() => ""), now());
    },
  };

  ledger.attempts++;
  return attempt;
}

/** For a body that is cancelled: it cannot fail in a way that matters. */
function ignore(): void {}
