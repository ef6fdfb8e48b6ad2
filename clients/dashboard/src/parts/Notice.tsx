import { explain, type CallError } from "../call.ts";
import type { Doing } from "../hooks.ts";
import { oneLine } from "../model/text.ts";

/** Why something is not shown, or what came of what one did. Announced. */
export function Notice({ words, isBad = true }: { words: string; isBad?: boolean }) {
  return (
    <p className="notice" role="status" data-bad={isBad} data-testid="notice">
      {oneLine(words)}
    </p>
  );
}

export function Failure({ error }: { error: Pick<CallError, "status" | "code" | "message"> | null }) {
  return error ? <Notice words={explain(error)} /> : null;
}

export function Outcome({ of }: { of: Doing }) {
  return of.words ? <Notice words={of.words} isBad={of.isBad} /> : null;
}
