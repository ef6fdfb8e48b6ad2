import { useState, type KeyboardEvent, type PointerEvent } from "react";
import type { Away, Point } from "./history.ts";
import { bandOf, HEIGHT, linesOf, WIDTH, type Pick } from "./scale.ts";

interface PlotProps {
  name: string;
  label: string;
  /** The last value, in words. */
  now: string;
  points: readonly Point[];
  aways: readonly Away[];
  pick: Pick;
  from: number;
  to: number;
  top: number;
  say: (value: number) => string;
}

const time = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

/** A figure over time. Where it is not known there is no line, and where nothing came a band says so. */
export function Plot({ name, label, now, points: all, aways, pick, from, to, top, say }: PlotProps) {
  /** A moment that somebody points at, seconds. */
  const [pointed, setPointed] = useState<number | null>(null);
  const scale = { from, to, top };
  const points = all.filter((point) => point.at >= from);
  const lines = linesOf(points, pick, scale);
  const known = points.map(pick).filter((value) => value !== null);
  const at = pointed === null ? undefined : nearest(points, Math.min(Math.max(pointed, from), to));
  const read = at && `${time.format(at.at * 1_000)}: ${sayValue(pick(at), say)}`;

  const onPointerMove = (event: PointerEvent<SVGSVGElement>): void => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    setPointed(from + ((event.clientX - left) / width) * (to - from));
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
    if (!step || !points.length) return;
    event.preventDefault();
    const index = at ? points.indexOf(at) + step : points.length - 1;
    setPointed(points[Math.min(Math.max(index, 0), points.length - 1)]?.at ?? null);
  };

  return (
    <figure className="metric-plot" data-testid={`plot-${name}`}>
      <figcaption>
        <span>
          {label} <strong className="number">{now}</strong>
        </span>
        {/* Its room is kept: nothing moves when somebody points. */}
        <span className="hint number" aria-live="polite" data-testid={`read-${name}`}>
          {read}
        </span>
      </figcaption>
      <div className="metric-drawing">
        <span className="metric-top" aria-hidden="true">
          {say(top)}
        </span>
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          role="img"
          tabIndex={0}
          aria-label={describe(label, now, known, say, aways.length)}
          onPointerMove={onPointerMove}
          onPointerLeave={() => setPointed(null)}
          onBlur={() => setPointed(null)}
          onKeyDown={onKeyDown}
        >
          <path className="metric-grid" d={`M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}`} />
          {aways.map((away) => (
            <rect key={away.from} className="metric-away" data-testid="away" y={0} height={HEIGHT} {...bandOf(away, scale)}>
              <title>no samples</title>
            </rect>
          ))}
          {lines.map((line, index) => (
            <path key={index} className="metric-line" data-testid="line" d={line} />
          ))}
          {at && <path className="metric-pointer" d={`M${((at.at - from) / (to - from)) * WIDTH} 0V${HEIGHT}`} />}
        </svg>
      </div>
      <p className="metric-axis" aria-hidden="true">
        <span>{Math.round((to - from) / 60)} min ago</span>
        <span>now</span>
      </p>
    </figure>
  );
}

function sayValue(value: number | null, say: (value: number) => string): string {
  return value === null ? "not known" : say(value);
}

/** The plot for those who do not see it. */
function describe(label: string, now: string, known: readonly number[], say: (value: number) => string, aways: number): string {
  if (!known.length) return `${label}: nothing known yet`;
  const range = `between ${say(Math.min(...known))} and ${say(Math.max(...known))} in the last ten minutes`;
  return `${label}: ${now === "–" ? "not known" : now} now, ${range}${aways ? `, ${aways} times without samples` : ""}`;
}

function nearest(points: readonly Point[], at: number): Point | undefined {
  let best: Point | undefined;
  for (const point of points) if (!best || Math.abs(point.at - at) <= Math.abs(best.at - at)) best = point;
  return best;
}
