import type { Gap } from "watertight";

const REASONS: Record<string, string> = {
  expired: "they were too old to be kept",
  evicted: "the hub could not keep that many",
  lagged: "this page read too slowly",
  epoch: "the hub began anew and remembers nothing from before",
  source: "what the hub feeds from was away",
  unknown_id: "the hub does not know where this page left off",
};

/** A gap in a sentence. `what` is missing: an event, a line. */
export function sayGap({ missed, reason }: Gap, event = "event"): string {
  const what =
    missed === null
      ? `An unknown number of ${event}s is missing`
      : missed === 1
        ? `1 ${event} is missing`
        : `${missed} ${event}s are missing`;
  const why = REASONS[reason];
  return `${what} (${reason})${why ? `: ${why}` : ""}`;
}
