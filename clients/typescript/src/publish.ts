/**
 * Publishing to a hub, for Node.js and browsers: one event, a batch, or an endless source of them.
 *
 * @packageDocumentation
 */
import { isProblem, refusal } from "./answer.ts";
import { createBackoff } from "./backoff.ts";
import { createTime, type Clock, type Time } from "./environment.ts";
import { noConnection, SSEError } from "./errors.ts";
import type { Origin } from "./origin.ts";
import { sessionUrl } from "./request.ts";
import type { HeadersSource, PerAttempt } from "./types.ts";

export { Origin } from "./origin.ts";
export type { EventOrigin } from "./types.ts";

/** An event to publish. `data` is any JSON. */
export interface NewEvent {
  /** Default `message`. */
  readonly type?: string | undefined;
  readonly data: unknown;
  /** How long the event may be replayed, seconds. */
  readonly ttl?: number | undefined;
}

/** Settings of {@link publish}. */
export interface PublishOptions {
  /** Where the hub is. Default: the page's own origin. */
  baseUrl?: string | undefined;
  sessionId: string;
  /** Sent as `Authorization: Bearer`. A function is asked before each request; after a 401 once more, with `refresh`. */
  token?: PerAttempt<string | null | undefined> | undefined;
  headers?: HeadersSource | undefined;
  /** How often a request is sent again after a failure that may pass. Default 10. */
  maxRetries?: number | undefined;
  /** Events in one request at most, of a batch or a source. Default 500, which is what a hub takes by default. */
  batchSize?: number | undefined;
  /** Remembers the ids, so that clients with the same origin know these events as their own (`event.own`). */
  origin?: Origin | undefined;
  /** Ends the publishing: what is under way may have reached the hub. */
  signal?: AbortSignal | undefined;
  /** Limit for one request, milliseconds. Default 60,000: a hub holds back its answer from who outruns it. */
  timeout?: number | undefined;
  /** Instead of the global `fetch`. */
  fetch?: typeof fetch | undefined;
  /** Instead of the global timers and `Date.now`. */
  clock?: Clock | undefined;
  /** Instead of `Math.random`, for the jitter. */
  random?: (() => number) | undefined;
}

const MAX_RETRIES = 10;
const BATCH_SIZE = 500;
const TIMEOUT = 60_000;
/** Longest answer read, UTF-16 units: room for the ids of a large batch. */
const ANSWER_MAX = 4 * 1024 * 1024;

/**
 * Publishes, and resolves to the ids that the hub gave, in order. One request is under way at a time, so the order is kept. Each
 * has an `Idempotency-Key` of its own, and is sent again with it after a failure that may pass: a hub takes it once.
 *
 * An async iterable is sent in batches, as it gives events; its ids are not kept, and nothing is read ahead of the hub.
 *
 * @returns the ids; of an async iterable how many events were published
 * @throws SSEError if the hub refuses, or after the last of `maxRetries`
 */
export async function publish(options: PublishOptions, event: NewEvent): Promise<string[]>;
export async function publish(options: PublishOptions, events: readonly NewEvent[]): Promise<string[]>;
export async function publish(options: PublishOptions, source: AsyncIterable<NewEvent>): Promise<number>;
export async function publish(
  options: PublishOptions,
  what: NewEvent | readonly NewEvent[] | AsyncIterable<NewEvent>,
): Promise<string[] | number> {
  const size = Math.max(options.batchSize ?? BATCH_SIZE, 1);
  if (Symbol.asyncIterator in what) {
    let count = 0;
    for await (const batch of batches(what, size)) count += (await send(options, batch)).length;
    return count;
  }
  const events = Array.isArray(what) ? (what as readonly NewEvent[]) : [what as NewEvent];
  const ids: string[] = [];
  for (let at = 0; at < events.length; at += size) ids.push(...(await send(options, events.slice(at, at + size))));
  return ids;
}

/** What a source gives, several at a time: as many as are there when the request before is answered. */
async function* batches(source: AsyncIterable<NewEvent>, size: number): AsyncGenerator<NewEvent[], void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  let next = iterator.next();
  try {
    for (;;) {
      const first = await next;
      if (first.done) return;
      const batch = [first.value];
      next = iterator.next();
      while (batch.length < size) {
        // What is not there in a moment belongs to the next request: an event is not kept waiting for others.
        const more = await Promise.race([next, soon()]);
        if (!more || more.done) break;
        batch.push(more.value);
        next = iterator.next();
      }
      yield batch;
    }
  } finally {
    next.catch(() => {});
    await iterator.return?.();
  }
}

const soon = (): Promise<undefined> => new Promise((resolve) => setTimeout(() => resolve(undefined), 0));

/** One request, as often as it takes. */
async function send(options: PublishOptions, events: readonly NewEvent[]): Promise<string[]> {
  let ids: string[] = [];
  const end = options.origin?.begin();
  try {
    ids = await sendUntilTaken(options, events);
  } finally {
    end?.(ids);
  }
  return ids;
}

async function sendUntilTaken(options: PublishOptions, events: readonly NewEvent[]): Promise<string[]> {
  const { maxRetries = MAX_RETRIES, token } = options;
  const time = createTime(options.clock);
  const backoff = createBackoff(options);
  const key = crypto.randomUUID();
  const body = events.map((event) => JSON.stringify({ ...event, data: event.data ?? null })).join("\n");
  let isRefreshed = false;
  for (let refresh = false; ; ) {
    options.signal?.throwIfAborted();
    try {
      return await attempt(options, time, key, body, refresh);
    } catch (error) {
      if (!(error instanceof SSEError)) throw error;
      // Other credentials are asked for once, and are no retry.
      refresh = error.status === 401 && typeof token === "function" && !isRefreshed;
      isRefreshed ||= refresh;
      if (refresh) continue;
      if (!error.retryable) throw error;
      if (backoff.failures >= maxRetries) throw new SSEError("exhausted", `gave up: ${error.message}`, { cause: error });
      await pause(time, backoff.next(error.retryAfter), options.signal);
    }
  }
}

async function attempt(options: PublishOptions, time: Time, key: string, body: string, refresh: boolean): Promise<string[]> {
  const ended = new AbortController();
  const abort = (): void => ended.abort(options.signal?.reason);
  options.signal?.addEventListener("abort", abort);
  const timer = time.createTimer(() => ended.abort(new SSEError("timeout", "no answer")));
  timer.set(options.timeout ?? TIMEOUT);
  try {
    const { token } = options;
    const bearer = typeof token === "function" ? await token({ signal: ended.signal, refresh }) : token;
    const headers = new Headers(options.headers as HeadersInit | undefined);
    headers.set("content-type", "application/x-ndjson");
    headers.set("idempotency-key", key);
    if (bearer) headers.set("authorization", `Bearer ${bearer}`);
    const request = { method: "POST", headers: Object.fromEntries(headers), body, signal: ended.signal };
    const response = await (options.fetch ?? fetch)(sessionUrl(options), request);
    const text = (await response.text()).slice(0, ANSWER_MAX);
    if (!response.ok) throw refusal(response, isProblem(response) ? text : "", time.wall());
    return readIds(text);
  } catch (thrown) {
    options.signal?.throwIfAborted();
    throw noConnection(thrown);
  } finally {
    timer.clear();
    options.signal?.removeEventListener("abort", abort);
  }
}

function readIds(text: string): string[] {
  try {
    const { ids, id } = JSON.parse(text) as { ids?: string[]; id?: string };
    const given = ids ?? (id === undefined ? undefined : [id]);
    if (given) return given;
  } catch {
    // Told below.
  }
  throw new SSEError("protocol", "no answer of a hub");
}

function pause(time: Time, milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = time.createTimer(() => done());
    const done = (): void => {
      timer.clear();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    timer.set(milliseconds);
    signal?.addEventListener("abort", done);
  });
}
