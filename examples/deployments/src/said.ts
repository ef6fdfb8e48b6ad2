import type { DebugRecord } from "watertight";

/** What ended a stream, or kept it from being opened: the code of the hub's closing event, or of a refusal. */
export interface Said {
  readonly n: number;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly stream: string;
  readonly code: string;
  readonly words: string;
}

/** How many are kept. */
const SAID_MAX = 100;

/** Adds what a record says of a stream, if it says anything of the kind. */
export function listen(said: readonly Said[], stream: string, record: DebugRecord): readonly Said[] {
  const heard = read(record);
  if (!heard) return said;
  const last = said.findLast((one) => one.stream === stream);
  // A refusal that is tried again and again is told once; a closing event is told each time.
  if (last && !heard.isClosing && last.code === heard.code) return said;
  const n = (said.at(-1)?.n ?? 0) + 1;
  return [...said.slice(-SAID_MAX + 1), { n, at: Date.now(), stream, code: heard.code, words: heard.words }];
}

function read(record: DebugRecord): { code: string; words: string; isClosing: boolean } | undefined {
  if (record.type === "event" && record.event === "error") {
    const { code, error = "" } = parse(record.text);
    return code ? { code, words: error, isClosing: true } : undefined;
  }
  if (record.type !== "status") return undefined;
  const { error } = record.status;
  // Without a status it is a closing event, which was told, or a connection that broke, which the panel tells.
  if (!error?.status) return undefined;
  return { code: error.code ?? `${error.status}`, words: error.message, isClosing: false };
}

function parse(text: string): { code?: string; error?: string } {
  try {
    return (JSON.parse(text) ?? {}) as { code?: string; error?: string };
  } catch {
    return {};
  }
}
