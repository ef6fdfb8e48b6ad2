/**
 * The Watertight client: a subscription that comes back by itself, where it left off.
 *
 * @packageDocumentation
 */
export { SSEClient } from "./client.ts";
export { SSEError, type SSEErrorDetails, type SSEErrorKind } from "./errors.ts";
export { createParser, type ParserSink } from "./parser.ts";
export type { Clock, Page } from "./environment.ts";
export type { EventIterator } from "./queue.ts";
export type {
  AttemptContext,
  CloseReason,
  ConnectionState,
  ConnectionStatus,
  DataParser,
  DebugDetails,
  DebugRecord,
  EventData,
  EventHandler,
  EventMap,
  EventOrigin,
  EventsOptions,
  EventType,
  Gap,
  GapReason,
  HeadersSource,
  OnOptions,
  PerAttempt,
  SSEClientOptions,
  SSEEvent,
  StandardResult,
  StandardSchema,
  Unsubscribe,
} from "./types.ts";
