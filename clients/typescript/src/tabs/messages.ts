/** What tabs say to each other, and what an event looks like when it becomes a stream again. */

/** An event on its way to the other tabs. */
export interface PassedEvent {
  /** The last event id before it: whoever has another one missed something. */
  before: string;
  id: string;
  type: string;
  data: string;
  own: boolean;
}

/** From a tab that wants to follow. */
export interface Hello {
  kind: "hello";
  from: string;
  /** The last event it has, if it has any. */
  after: string | null;
}

/** From the tab that leads. */
export type Word =
  /** To one tab: you may follow from here; these are the events that you missed. */
  | { kind: "welcome"; to: string; at: string; heartbeat: string; events: PassedEvent[] }
  /** To one tab: I am connecting, and will say when I am there. */
  | { kind: "wait"; to: string }
  /** To all who wait: ask again. */
  | { kind: "here" }
  /** To one tab: what you missed is not known here any more. */
  | { kind: "no"; to: string }
  | ({ kind: "event" } & PassedEvent)
  /** The position changed without an event. */
  | { kind: "id"; before: string; id: string }
  /** The server names the base of the back-off, milliseconds. */
  | { kind: "retry"; milliseconds: number }
  /** A comment, as it came. */
  | { kind: "comment"; text: string }
  /** The stream lives. */
  | { kind: "beat" }
  /** The stream is over. */
  | { kind: "bye" };

/** An event as `text/event-stream` (WHATWG HTML, section 9.2.6). None of its fields has a line break but data. */
export function encode({ id, type, data, own }: PassedEvent): string {
  const lines = data.split("\n").map((line) => `data: ${line}\n`);
  return `${own ? `id: ${id}\n` : ""}${type === "message" ? "" : `event: ${type}\n`}${lines.join("")}\n`;
}
