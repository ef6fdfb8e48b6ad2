/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The browser's `EventSource` (WHATWG HTML, section 9.2), standing on {@link SSEClient}: for code that was written against
 * it, with headers, tokens, back-off and a read time-out beside.
 *
 * @packageDocumentation
 */
import { SSEClient } from "./client.ts";
import type { SSEError } from "./errors.ts";
import type { SSEClientOptions } from "./types.ts";

/** Settings beside the standard's own: those of a client, but for where the stream is. */
export interface EventSourceInit extends Omit<SSEClientOptions, "url" | "baseUrl" | "sessionId" | "parsers" | "onError"> {
  /** Send cookies to other origins, too. */
  withCredentials?: boolean | undefined;
}

/** What an `error` event carries beside the standard's nothing. */
export interface EventSourceErrorEvent extends Event {
  /** Why, where it is known. */
  readonly error: SSEError | null;
  /** The HTTP status, if there was an answer. */
  readonly code: number | undefined;
  /** For people. */
  readonly message: string | undefined;
}

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 2;

/** An event stream as the standard shapes it. It connects at once; `close` gives everything back. */
export class EventSource extends EventTarget implements Disposable {
  static readonly CONNECTING = CONNECTING;
  static readonly OPEN = OPEN;
  static readonly CLOSED = CLOSED;
  readonly CONNECTING = CONNECTING;
  readonly OPEN = OPEN;
  readonly CLOSED = CLOSED;

  /** As it was given, made absolute where there is a page. */
  readonly url: string;
  readonly withCredentials: boolean;
  /** Called beside the listeners of the same type, once per event. */
  onopen: ((this: EventSource, event: Event) => void) | null = null;
  /** Called for each event of type `message`. */
  onmessage: ((this: EventSource, event: MessageEvent<string>) => void) | null = null;
  /** Called when the connection fails; with `event.error`, `code` and `message`. */
  onerror: ((this: EventSource, event: EventSourceErrorEvent | MessageEvent<string>) => void) | null = null;
  #client: SSEClient;

  /** Where the stream came from, after redirects. */
  #origin: string;
  #closing = false;

  /** @throws DOMException `SyntaxError`, as the browser's does, if the URL is none. */
  constructor(url: string | URL, init: EventSourceInit = {}) {
    super();
    const { withCredentials = false, ...options } = init;
    this.url = absolute(String(url));
    this.withCredentials = withCredentials;
    this.#origin = new URL(this.url).origin;
    const send: typeof fetch = async (input, request) => {
      const response = await (options.fetch ?? fetch)(input, request);
      if (response.url) this.#origin = new URL(response.url).origin;
      return response;
    };
    const client = new SSEClient({
      ...(withCredentials && { credentials: "include" }),
      ...options,
      url: this.url,
      fetch: send,
      // Told by the `error` event; what listeners throw never reaches the client.
      onError: () => {},
    });
    this.#client = client;
    this.addEventListener("open", (event) => this.onopen?.(event));
    this.addEventListener("message", (event) => this.onmessage?.(event as MessageEvent<string>));
    this.addEventListener("error", (event) => this.onerror?.(event as EventSourceErrorEvent));
    client.on("*", (_, { type, text: data, id: lastEventId }) => {
      this.dispatchEvent(new MessageEvent(type, { data, lastEventId, origin: this.#origin }));
    });
    let wasOpen = false;
    client.onConnectionChange((state, { error }) => {
      const { isConnected } = client;
      if (isConnected && !wasOpen) this.dispatchEvent(new Event("open"));
      else if (!isConnected && state !== "connecting") {
        const { status: code, message } = error ?? {};
        this.dispatchEvent(Object.assign(new Event("error"), { error, code, message }));
      }
      wasOpen = isConnected;
      // Nobody closes what is closed: what was registered with the client and a signal goes now.
      if (this.readyState === CLOSED) this.close();
    });
    client.connect();
  }

  /** 0 connecting, 1 open, 2 closed for good. */
  get readyState(): number {
    const { isConnected, state } = this.#client;
    return isConnected ? OPEN : state === "closed" || state === "error" ? CLOSED : CONNECTING;
  }

  /** The id of the last event. */
  get lastEventId(): string {
    return this.#client.lastEventId;
  }

  /** Closes the stream. Synchronous and final: nothing is dispatched any more. */
  close(): void {
    this.#closing = true;
    this.#client.destroy();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  override dispatchEvent(event: Event): boolean {
    return !this.#closing && super.dispatchEvent(event);
  }
}

function absolute(url: string): string {
  const base = globalThis.location?.href;
  if (URL.canParse(url, base)) return new URL(url, base).href;
  throw new DOMException(`not a URL: ${url}`, "SyntaxError");
}
