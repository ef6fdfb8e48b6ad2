/// <reference lib="esnext.disposable" preserve="true" />
/**
 * One request, one answer: for servers whose stream is over when it ends, as a language model's reply is.
 *
 * @packageDocumentation
 */
import { SSEClient } from "./client.ts";
import { SSEError } from "./errors.ts";
import type { SSEClientOptions, SSEEvent } from "./types.ts";

/** Settings of {@link stream}: those of a client that have to do with one request. */
export type StreamInit = Omit<
  SSEClientOptions,
  "url" | "baseUrl" | "sessionId" | "onEnd" | "maxRetries" | "retryDelay" | "maxRetryDelay" | "enablePollingFallback" | "pollingInterval"
>;

/**
 * Sends one request when the first event is asked for, and gives its events until the server ends its answer. Leaving the
 * loop aborts the request.
 *
 * ```ts
 * for await (const { data } of stream("/chat", { method: "POST", body: JSON.stringify(question) })) show(data);
 * ```
 *
 * @throws SSEError in the loop, if the request is refused, breaks off or brings no event stream; it is not sent again, but
 * after a 401 where a function can give other credentials.
 */
export async function* stream(url: string | URL, init: StreamInit = {}): AsyncGenerator<SSEEvent, void, undefined> {
  const client = new SSEClient({ ...init, url, onEnd: "stop", maxRetries: 0 });
  try {
    yield* client.events();
  } catch (error) {
    const isExhausted = error instanceof SSEError && error.kind === "exhausted";
    throw isExhausted ? error.cause : error;
  } finally {
    client.destroy();
  }
}
