import { explain } from "../call.ts";
import type { Asked, Doing } from "../hooks.ts";
import { oneLine } from "../model/text.ts";

/** Why something is not shown, or what came of what one did. Announced. */
export function Notice({ words, isBad = true }: { words: string; isBad?: boolean }) {
  return (
    <p className="notice" role="status" data-bad={isBad} data-testid="notice">
      {oneLine(words)}
    </p>
  );
}

/** Why what was asked for is not shown, or not new: the hub refused, or has not answered yet. */
export function Failure({ of: { data, error } }: { of: Pick<Asked<unknown>, "data" | "error"> }) {
  if (error) return <Notice words={explain(error)} />;
  return data === null ? <p className="hint">The hub is asked …</p> : null;
}

export function Outcome({ of }: { of: Doing }) {
  return of.words ? <Notice words={of.words} isBad={of.isBad} /> : null;
}
