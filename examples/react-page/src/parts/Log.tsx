import { memo, useState } from "react";
import type { Row } from "../journal/journal.ts";
import { sayGap } from "../journal/words.ts";
import { rowsMax } from "../sse.ts";

/** The last events, the newest first, with the gaps where they are. Can be held, to be read. */
export function Log({ rows }: { rows: readonly Row[] }) {
  const [held, setHeld] = useState<readonly Row[] | null>(null);
  return (
    <section className="card log" aria-labelledby="log">
      <div className="title">
        <h2 id="log">Log</h2>
        <p className="hint">newest first, {rowsMax} at most</p>
        <button type="button" data-testid="hold" aria-pressed={!!held} onClick={() => setHeld(held ? null : rows)}>
          {held ? "Let it run" : "Hold"}
        </button>
      </div>
      {/* Scrolled with the keyboard, too; not announced, or nothing else would ever be heard. */}
      <ol data-testid="log" tabIndex={0} aria-labelledby="log" aria-live="off">
        {(held ?? rows).map((row) => (
          <Line key={row.key} row={row} />
        ))}
      </ol>
    </section>
  );
}

const time = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

const Line = memo(function Line({ row }: { row: Row }) {
  return (
    <li data-testid={`row-${row.kind}`} data-kind={row.kind} data-n={"n" in row ? row.n : undefined}>
      <time dateTime={new Date(row.at).toISOString()}>{time.format(row.at)}</time>
      <Words row={row} />
    </li>
  );
});

function Words({ row }: { row: Row }) {
  switch (row.kind) {
    case "update":
      return (
        <>
          <span className="n">{row.n}</span>
          <span>
            {row.message.from} → {row.message.to} <em>{row.message.kind}</em>
          </span>
        </>
      );
    case "repeat":
      return <span className="wide">{row.n} once more: its publisher had no answer from the hub that died</span>;
    case "gap":
      return <span className="wide">{sayGap(row.gap)}</span>;
    case "hole":
      return (
        <span className="wide">
          {row.missing} {row.missing === 1 ? "update" : "updates"} missing here, by the publisher’s numbers
          {row.told ? "" : ", and no gap told of it"}
        </span>
      );
  }
}
