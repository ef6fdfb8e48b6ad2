import type { Answer, Chunk } from "./scripted.ts";

const EVENT_STREAM = { "content-type": "text/event-stream" };

/** A stream that stays open. */
export const stream = (...body: Chunk[]): Answer => ({ headers: EVENT_STREAM, body, then: "hang" });

/** A stream that ends. */
export const ended = (...body: Chunk[]): Answer => ({ headers: EVENT_STREAM, body });

/** A stream that breaks. */
export const broken = (...body: Chunk[]): Answer => ({ headers: EVENT_STREAM, body, then: "drop" });

/** A refusal, whole. */
export const refused = (status: number, headers: Record<string, string> = {}): Answer => ({ status, headers });

/** No answer at all. */
export const mute: Answer = { mute: true };

/** An answer to a long-poll. */
export const poll = (answer: object): Answer => ({
  headers: { "content-type": "application/json" },
  body: [JSON.stringify(answer)],
});
