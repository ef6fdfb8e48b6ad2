import type { DebugRecord, SSEClient } from "../index.ts";

/** What is known of one stream. */
export interface StreamReport {
  /** Its session, or its URL without the query. */
  readonly name: string;
  readonly state: string;
  /** The id of the last event. */
  readonly cursor: string;
  /** Requests since its client was made, and how the last one asked. */
  readonly attempts: number;
  readonly way: "stream" | "poll" | "";
  /** Failures in a row, and the last one's words. */
  readonly failures: number;
  readonly error: string;
  /** How long it waits for the next attempt, milliseconds; `undefined` if one is under way. */
  readonly waits: number | undefined;
  readonly events: number;
  /** Gaps, and how many events they told of, as far as that is known. */
  readonly gaps: number;
  readonly missed: number;
}

interface Counts {
  attempts: number;
  way: "stream" | "poll" | "";
  waits: number | undefined;
  events: number;
  gaps: number;
  missed: number;
}

/** What all clients told, summed up. It holds a client until that is destroyed, and a few numbers for each. */
export class Journal {
  readonly #clients = new Map<SSEClient, Counts>();

  readonly take = (record: DebugRecord): void => {
    const { client } = record;
    if (record.type === "destroyed") {
      this.#clients.delete(client);
      return;
    }
    const counts = this.#countsOf(client);
    if (record.type === "attempt") {
      counts.attempts++;
      counts.way = record.way;
      counts.waits = undefined;
    } else if (record.type === "wait") {
      counts.waits = record.milliseconds;
    } else if (record.type === "event") {
      counts.events++;
      if (record.event === "gap") {
        counts.gaps++;
        counts.missed += missedIn(record.text);
      }
    }
  };

  /** All streams whose clients are not destroyed, in the order in which they came. */
  streams(): StreamReport[] {
    return [...this.#clients].map(([client, counts]) => {
      const { state, failures, error } = client.status;
      return { ...counts, name: nameOf(client), cursor: client.lastEventId, state, failures, error: error?.message ?? "" };
    });
  }

  #countsOf(client: SSEClient): Counts {
    let counts = this.#clients.get(client);
    if (!counts) {
      counts = { attempts: 0, way: "", waits: undefined, events: 0, gaps: 0, missed: 0 };
      this.#clients.set(client, counts);
    }
    return counts;
  }
}

/** A query may hold a token. */
function nameOf({ options: { sessionId, url } }: SSEClient): string {
  return sessionId ?? (typeof url === "function" ? "(function)" : `${url}`.split("?")[0]!);
}

function missedIn(text: string): number {
  try {
    return Number((JSON.parse(text) as { missed?: number | null }).missed ?? 0);
  } catch {
    // A gap of a server that is no hub: nothing is known of how much it is.
    return 0;
  }
}
