import { ROW_HEIGHT } from "./geometry.ts";
import { LogRow } from "./LogRow.tsx";
import type { LogStore } from "./store.ts";
import type { Viewport } from "./useViewport.ts";

interface LogListProps {
  id: string;
  label: string;
  store: LogStore;
  viewport: Viewport;
  current: number | null;
  pattern: RegExp | null;
  hasTimes: boolean;
  onPick: (n: number) => void;
}

/** The rows that are seen, and room for all the others: 100,000 lines are as few elements as fifty. */
export function LogList({ id, label, store, viewport, current, pattern, hasTimes, onPick }: LogListProps) {
  const { first, next } = viewport.box;
  const { from, until } = viewport.rows;
  const rows = [];
  for (let n = from; n < until; n++) {
    const row = store.get(n);
    if (!row) continue;
    rows.push(
      <LogRow
        key={n}
        id={`${id}-${n}`}
        row={row}
        place={n + 1}
        isCurrent={n === current}
        pattern={pattern}
        hasTimes={hasTimes}
        onPick={() => onPick(n)}
      />,
    );
  }
  const isCurrentDrawn = current !== null && current >= from && current < until;
  return (
    <div
      ref={viewport.ref}
      id={id}
      className="log-list"
      // Read with the keyboard line by line; not announced as it comes, or nothing else would ever be heard.
      role="listbox"
      tabIndex={0}
      aria-label={label}
      aria-activedescendant={isCurrentDrawn ? `${id}-${current}` : undefined}
      data-testid="log-list"
      data-first={first}
      data-next={next}
      onScroll={viewport.onScroll}
    >
      <div className="log-room" role="presentation" style={{ height: (next - first) * ROW_HEIGHT }}>
        <div className="log-rows" role="presentation" style={{ transform: `translateY(${(from - first) * ROW_HEIGHT}px)` }}>
          {rows}
        </div>
      </div>
    </div>
  );
}
