import type { SSEClient } from "./client.ts";
import { parserOf, readData } from "./data.ts";
import { tell, unheardGap, type SSEError, type SSEErrorKind } from "./errors.ts";
import { createHandlers, type Handlers } from "./handlers.ts";
import type { ConnectionStatus, DebugDetails, SSEClientOptions } from "./types.ts";

/** The keys under which those are kept who want to know of the status and of the end: no event type has a line break. */
export const STATUS = "\n";
export const END = "\r";

/** All that the application is told: events, statuses, comments, errors, records. Whatever of it throws is reported, and stops nothing. */
export interface Delivery {
  readonly handlers: Handlers;
  /** There is another status. */
  changed(status: ConnectionStatus): void;
  event(type: string, text: string, id: string): void;
  comment(text: string): void;
  /** Over, by itself or because the client said so. */
  ended(error?: SSEError): void;
  debug(details: DebugDetails): void;
  tell(cause: unknown, kind?: SSEErrorKind): void;
}

export function createDelivery(client: SSEClient<any>, options: SSEClientOptions<any>): Delivery {
  const report = (cause: unknown, kind: SSEErrorKind = "handler"): void => tell(options.onError, kind, cause);
  const guard = (call: () => unknown, kind?: SSEErrorKind): void => {
    try {
      call();
    } catch (thrown) {
      report(thrown, kind);
    }
  };
  const debug = (details: DebugDetails): void => guard(() => options.debug?.({ client, ...details }));
  const handlers = createHandlers(guard);
  return {
    handlers,
    debug,
    tell: report,
    changed(status) {
      const { error } = status;
      debug({ type: "status", status });
      handlers.call(STATUS, status);
      // Unless one of them brought the next status about. The status shows it: without `onError` nobody has to be told.
      if (error && client.status === status && options.onError) report(error);
    },
    event(type, text, id) {
      debug({ type: "event", event: type, id, text });
      if (!handlers.has(type) && !handlers.has("*")) {
        if (type === "gap") report(unheardGap(text));
        return;
      }
      guard(() => {
        const { origin } = options;
        const data = readData(text, parserOf(options, type));
        const event = { type, data, text, id, ...(origin && { own: origin.owns(id) }) };
        for (const key of new Set([type, "*"])) handlers.call(key, data, event);
      }, "parse");
    },
    ended: (error) => handlers.call(END, error),
    comment: (text) => guard(() => options.onComment?.(text)),
  };
}
