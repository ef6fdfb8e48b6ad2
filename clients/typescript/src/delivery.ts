import type { SSEClient } from "./client.ts";
import { parserOf, readEvent } from "./data.ts";
import { tell, unheardGap, type SSEErrorKind } from "./errors.ts";
import { Handlers } from "./handlers.ts";
import type { ConnectionStatus, DebugDetails, SSEClientOptions } from "./types.ts";

/** The key under which those are kept who want to know of the status: no event type has a line break. */
export const STATUS = "\n";

/** All that the application is told: events, statuses, comments, errors, records. Whatever of it throws is reported, and stops nothing. */
export class Delivery {
  readonly handlers = new Handlers();
  readonly #client: SSEClient<any>;
  readonly #options: SSEClientOptions<any>;

  constructor(client: SSEClient<any>, options: SSEClientOptions<any>) {
    this.#client = client;
    this.#options = options;
  }

  /** There is another status. */
  changed(status: ConnectionStatus): void {
    const { error } = status;
    this.debug({ type: "status", status });
    this.#call(STATUS, status);
    // Unless one of them brought the next status about. The status shows it: without `onError` nobody has to be told.
    if (error && this.#client.status === status && this.#options.onError) this.tell(error);
  }

  event(type: string, text: string, id: string): void {
    this.debug({ type: "event", event: type, id, text });
    if (!this.handlers.has(type) && !this.handlers.has("*")) {
      if (type === "gap") this.tell(unheardGap(text));
      return;
    }
    this.#guard(() => {
      const { origin } = this.#options;
      const event = { ...readEvent(type, text, id, parserOf(this.#options, type)), ...(origin && { own: origin.owns(id) }) };
      for (const key of new Set([type, "*"])) this.#call(key, event.data, event);
    }, "parse");
  }

  comment(text: string): void {
    this.#guard(() => this.#options.onComment?.(text));
  }

  debug(details: DebugDetails): void {
    this.#guard(() => this.#options.debug?.({ client: this.#client, ...details }));
  }

  tell(cause: unknown, kind: SSEErrorKind = "handler"): void {
    tell(this.#options.onError, kind, cause);
  }

  #call(key: string, ...args: unknown[]): void {
    this.handlers.call(key, args, (thrown) => this.tell(thrown));
  }

  #guard(call: () => void, kind?: SSEErrorKind): void {
    try {
      call();
    } catch (thrown) {
      this.tell(thrown, kind);
    }
  }
}
