import { memo, type CSSProperties } from "react";
import { nameOf } from "../controls.ts";
import { markMatches, parseAnsi, type Span } from "./ansi.ts";
import { paintOf, type Paint } from "./colours.ts";
import type { Row } from "./rows.ts";
import { count, sayRow, sayTime } from "./words.ts";

/** What of a line is drawn in the list: more would make drawing slow. The rest is a key away. */
const IN_LIST = { charsMax: 2_000, spansMax: 200 };
/** What of a line is drawn where it is shown whole. */
const WHOLE = { charsMax: 200_000, spansMax: 2_000 };

interface LogRowProps {
  id: string;
  row: Row;
  /** Its place among all that ever came, from 1; for screen readers. */
  place: number;
  isCurrent: boolean;
  pattern: RegExp | null;
  hasTimes: boolean;
  onPick: () => void;
}

/** One row, of one height, whatever is in it. */
export const LogRow = memo(
  function LogRow({ id, row, place, isCurrent, pattern, hasTimes, onPick }: LogRowProps) {
    const { kind } = row;
    const line = row.kind === "line" ? row.line : undefined;
    return (
      <div
        id={id}
        className="log-row"
        role="option"
        aria-selected={isCurrent}
        aria-posinset={place}
        // Nobody knows how many there will be.
        aria-setsize={-1}
        data-kind={kind}
        data-whole={(row.kind === "gap" && row.isWhole) || undefined}
        data-stream={line?.stream}
        data-partial={line?.partial}
        onClick={onPick}
      >
        <span className="log-number">{line?.line}</span>
        {hasTimes && <span className="log-time">{line?.at !== undefined && sayTime(line.at)}</span>}
        <span className="log-stream">{line?.stream && (line.stream === "stderr" ? "err" : "out")}</span>
        {row.kind === "line" ? <LineText line={row.line} pattern={pattern} /> : <span className="log-said">{sayRow(row)}</span>}
      </div>
    );
  },
  // `onPick` is another function each time, and does the same.
  (before, after) =>
    before.row === after.row &&
    before.id === after.id &&
    before.isCurrent === after.isCurrent &&
    before.pattern === after.pattern &&
    before.hasTimes === after.hasTimes,
);

interface LineTextProps {
  line: Extract<Row, { kind: "line" }>["line"];
  pattern: RegExp | null;
  isWhole?: boolean;
}

/** The text of a line in its colours, and what is to be said of it. */
export function LineText({ line, pattern, isWhole = false }: LineTextProps) {
  const { spans, left } = parseAnsi(line.text, isWhole ? WHOLE : IN_LIST);
  const marked = pattern ? markMatches(spans, pattern) : spans;
  return (
    <>
      {/* Each line by itself runs from left to right: nothing in it turns what stands beside it. */}
      <bdi className="log-text" dir="ltr">
        {marked.map((span, index) => (
          <Piece key={index} span={span} />
        ))}
      </bdi>
      {left > 0 && <span className="log-mark">… {count(left, "more character")}</span>}
      {line.cut !== undefined && <span className="log-mark">cut: it had {count(line.cut, "byte")}</span>}
      {line.partial && <span className="log-mark">not ended yet</span>}
    </>
  );
}

function Piece({ span: { text, style, isControl, isMatch } }: { span: Span }) {
  const paint = paintOf(style);
  const classes = [
    style.bold && "ansi-bold",
    style.dim && "ansi-dim",
    style.italic && "ansi-italic",
    style.underline && "ansi-underline",
    style.strike && "ansi-strike",
    isControl && "log-control",
    paint?.onPage && !isMatch && "ansi-colour",
  ].filter(Boolean);
  // What was found has the colours of what was found.
  if (isMatch) return <mark className={classes.join(" ")}>{text}</mark>;
  if (!classes.length && !paint) return text;
  return (
    <span className={classes.join(" ")} style={paint && styleOf(paint)} title={isControl && nameOf(text)}>
      {text}
    </span>
  );
}

function styleOf({ onPage, text, ground }: Paint): CSSProperties {
  return onPage ? ({ "--ansi-text": onPage } as CSSProperties) : { color: text, backgroundColor: ground };
}
