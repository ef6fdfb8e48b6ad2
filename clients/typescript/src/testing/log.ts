import type { Gap } from "../index.ts";

/** An event as a log keeps it: its text, not its value. */
export interface LoggedEvent {
  readonly id: string;
  readonly type: string;
  readonly data: string;
  /** When the hub accepted it, seconds since the Unix epoch. Only long-polls carry it. */
  readonly createdAt: number;
}

/** What a reader gets: perhaps a gap, then events, then it stands at `next`. */
export interface Reading {
  readonly gap: Gap | null;
  readonly events: readonly LoggedEvent[];
  readonly next: string;
}

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const ID = /^([0-9a-hjkmnp-tv-z]{12})-(0|[1-9]\d{0,15})$/;
let epochs = 0;

/** Another one each time, the same ones in each run. */
function nextEpoch(): string {
  let rest = ++epochs;
  let epoch = "";
  while (epoch.length < 12) {
    epoch = ALPHABET.charAt(rest % ALPHABET.length) + epoch;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return epoch;
}

/** What a session keeps of its events, and what the hub's rules make of an id to resume from. */
export class Log {
  readonly #epoch = nextEpoch();
  readonly #limit: number;
  #events: LoggedEvent[] = [];
  /** Sequence of the newest event. */
  #last = 0;

  /** @param limit how many events it keeps */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The id of the newest event, or the position before the first. */
  get position(): string {
    return this.#id(this.#last);
  }

  append(type: string, data: string, createdAt: number): LoggedEvent {
    const event = { id: this.#id(++this.#last), type, data, createdAt };
    this.#events.push(event);
    if (this.#events.length > this.#limit) this.#events.shift();
    return event;
  }

  /** A gap of what feeds the session: it has an id of its own and is read like an event. */
  appendGap(missed: number | null, createdAt: number): LoggedEvent {
    const id = this.#id(this.#last + 1);
    const gap: Gap = { from: id, to: id, missed, reason: "source" };
    return this.append("gap", JSON.stringify(gap), createdAt);
  }

  /**
   * @param cursor the id to resume after; empty if there is none
   * @param replay how much to begin with if there is none: `all`, or a number
   * @param limit at most so many events
   */
  read(cursor: string, replay: string | null, limit = Infinity): Reading {
    const [, epoch, sequence] = ID.exec(cursor) ?? [];
    const oldest = this.#last - this.#events.length + 1;
    let gap: Gap | null = null;
    let from = oldest;
    if (!cursor) from = replay === "all" ? 1 : Math.max(1, this.#last + 1 - (Number(replay) || 0));
    else if (epoch === this.#epoch && Number(sequence) <= this.#last) from = Number(sequence) + 1;
    else {
      const reason = epoch && epoch !== this.#epoch ? "epoch" : "unknown_id";
      gap = { from: epoch ? cursor : null, to: this.#id(oldest - 1), missed: null, reason };
    }
    const missed = oldest - from;
    if (missed > 0) gap = { from: this.#id(from), to: this.#id(oldest - 1), missed, reason: "evicted" };
    const start = Math.max(from, oldest) - oldest;
    const events = this.#events.slice(start, start + limit);
    return { gap, events, next: events.at(-1)?.id ?? this.#id(Math.max(from, oldest) - 1) };
  }

  #id(sequence: number): string {
    return `${this.#epoch}-${sequence}`;
  }
}

/** What one long-poll answers: a gap stands before all events, so one that comes after an event is left for the next answer. */
export function firstAnswer({ gap, events, next }: Reading): Reading {
  const [first, ...others] = events;
  const isGapFirst = !gap && first?.type === "gap";
  const firstGap = isGapFirst ? (JSON.parse(first.data) as Gap) : gap;
  const behind = isGapFirst ? others : events;
  const until = behind.findIndex(({ type }) => type === "gap");
  if (until < 0) return { gap: firstGap, events: behind, next };
  const answered = behind.slice(0, until);
  return { gap: firstGap, events: answered, next: answered.at(-1)?.id ?? firstGap?.to ?? next };
}

/** An event as a stream carries it. */
export function encodeEvent({ id, type, data }: Omit<LoggedEvent, "createdAt">): string {
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
  return `id: ${id}\n${type === "message" ? "" : `event: ${type}\n`}${lines.join("")}\n`;
}

/** A gap as a stream carries it: its id is the position behind it. */
export function encodeGap(gap: Gap): string {
  return encodeEvent({ id: gap.to ?? "", type: "gap", data: JSON.stringify(gap) });
}
