import { memo, useState } from "react";
import { unfold, type Row } from "../model/feed.ts";
import { clip, oneLine } from "../model/text.ts";
import { sayBytes, sayCount } from "../model/words.ts";
import { Lines, Name } from "./Text.tsx";

/** Characters of the data that a folded row shows. */
const FOLDED = 140;

/** Events, the newest first. */
export function Events({ rows }: { rows: readonly Row[] }) {
  if (!rows.length) return <p className="hint">Nothing yet.</p>;
  return (
    <div className="events" role="region" aria-label="Events, the newest first" tabIndex={0}>
      <ol data-testid="events">
        {rows.map((row) => (
          <EventRow key={row.n} row={row} />
        ))}
      </ol>
    </div>
  );
}

const EventRow = memo(function EventRow({ row }: { row: Row }) {
  // What is folded is not made: 500 documents with all their lines would be.
  const [isOpen, setOpen] = useState(false);
  const { text, more } = clip(row.text, FOLDED);
  return (
    <li data-testid="event" data-gap={row.isGap}>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <span className="type">
            <Name of={row.type} max={60} />
          </span>
          <span className="hint number">
            <Name of={row.id} max={60} /> {sayBytes(row.bytes)}
          </span>
          <code className="folded">
            {oneLine(text)}
            {more > 0 && "…"}
          </code>
        </summary>
        {isOpen && <Lines of={unfold(row)} />}
        {isOpen && row.more > 0 && <p className="hint">{sayCount(row.more)} more characters are not kept by this page.</p>}
      </details>
    </li>
  );
});
