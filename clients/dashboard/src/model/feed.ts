import type { SSEEvent } from "watertight";

/** Events that are kept, and characters of their data: the oldest go first. */
export const EVENTS_MAX = 500;
export const CHARACTERS_MAX = 2 * 1024 * 1024;
/** Of one event's data. The rest is counted, not kept. */
export const EVENT_CHARACTERS_MAX = 32 * 1024;

export interface Row {
  /** Counts what came, from 1. */
  readonly n: number;
  readonly id: string;
  readonly type: string;
  readonly text: string;
  /** Of the data as it came, bytes. */
  readonly bytes: number;
  /** Characters that were not kept. */
  readonly more: number;
  readonly isGap: boolean;
}

/** The newest events of a stream, the newest first. */
export interface Feed {
  readonly rows: readonly Row[];
  readonly count: number;
  readonly bytes: number;
  /** Characters that are kept. */
  readonly held: number;
}

export const NO_FEED: Feed = { rows: [], count: 0, bytes: 0, held: 0 };

const encoder = new TextEncoder();

export function addEvent(feed: Feed, event: Pick<SSEEvent, "id" | "type" | "text">): Feed {
  const text = event.text.slice(0, EVENT_CHARACTERS_MAX);
  const bytes = encoder.encode(event.text).length;
  const row: Row = {
    n: feed.count + 1,
    id: event.id,
    type: event.type,
    text,
    bytes,
    more: event.text.length - text.length,
    isGap: event.type === "gap",
  };
  let held = feed.held + text.length;
  const rows = [row, ...feed.rows];
  while (rows.length > EVENTS_MAX || (held > CHARACTERS_MAX && rows.length > 1)) held -= rows.pop()?.text.length ?? 0;
  return { rows, count: row.n, bytes: feed.bytes + bytes, held };
}

/** JSON with its lines and indentation; any other text as it is. What was cut is no JSON, and is not guessed. */
export function unfold({ text, more }: Row): string {
  if (more || !/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
