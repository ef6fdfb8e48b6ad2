import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useIsDark, useIsVisible } from "../hooks.ts";
import { columns, SPAN, type Point } from "../model/history.ts";
import { UNKNOWN } from "../model/words.ts";

export interface Line {
  readonly of: Exclude<keyof Point, "at">;
  readonly label: string;
  /** A custom property of the page. */
  readonly colour: string;
  readonly isDashed?: boolean;
}

interface TimePlotProps {
  name: string;
  label: string;
  points: readonly Point[];
  lines: readonly Line[];
  say: (value: number | null | undefined) => string;
  /** Bytes are read by powers of two. */
  isBytes?: boolean;
}

const HEIGHT = 150;
const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power);
const time = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

/** Ten minutes of some figures. Where one is not known its line is broken. Draws nothing while nobody looks. */
export function TimePlot({ name, label, points, lines, say, isBytes = false }: TimePlotProps) {
  const room = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const isDark = useIsDark();
  const isVisible = useIsVisible();
  // Which lines there are does not change while the plot is there.
  const [fixed] = useState({ lines, say, isBytes });

  useEffect(() => {
    const element = room.current;
    if (!element) return undefined;
    const made = new uPlot(optionsOf(element, fixed, setPointed), [[]], element);
    plot.current = made;
    const resized = new ResizeObserver(() => {
      const width = element.clientWidth;
      if (width > 0 && width !== made.width) made.setSize({ width, height: HEIGHT });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
    // Its colours are those that the page had when it was made.
  }, [fixed, isDark]);

  useEffect(() => {
    if (!isVisible) return;
    plot.current?.setData(columns(points, fixed.lines.map(({ of }) => of)) as uPlot.AlignedData);
  }, [points, fixed, isDark, isVisible]);

  const at = pointed === null ? points.at(-1) : points[pointed];
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
    const made = plot.current;
    if (!step || !points.length || !made) return;
    event.preventDefault();
    const index = Math.min(Math.max((pointed ?? points.length) + step, 0), points.length - 1);
    made.setCursor({ left: made.valToPos(points[index]?.at ?? 0, "x"), top: HEIGHT / 2 });
  };

  const isHole = (point: Point): boolean => fixed.lines.every(({ of }) => point[of] === null);
  return (
    <figure className="card plot" data-testid={`plot-${name}`} data-points={points.length} data-holes={points.filter(isHole).length}>
      <figcaption>
        <h3>{label}</h3>
        <dl className="legend">
          {lines.map(({ of, label, colour }) => (
            <div key={of}>
              <dt>
                <span className="swatch" style={{ background: `var(${colour})` }} aria-hidden="true" />
                {label}
              </dt>
              <dd className="number" data-testid={`now-${of}`}>
                {at ? say(at[of]) : UNKNOWN}
              </dd>
            </div>
          ))}
          <div className="hint" aria-live="polite">
            {pointed !== null && at && time.format(at.at * 1_000)}
          </div>
        </dl>
      </figcaption>
      <div
        ref={room}
        className="drawing"
        role="img"
        tabIndex={0}
        aria-label={describe(label, points, lines, say)}
        onKeyDown={onKeyDown}
        onBlur={() => plot.current?.setCursor({ left: -10, top: -10 })}
      />
    </figure>
  );
}

type Fixed = Pick<TimePlotProps, "lines" | "say"> & { readonly isBytes: boolean };

function optionsOf(element: HTMLElement, { lines, say, isBytes }: Fixed, onPoint: (index: number | null) => void): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const grid = { stroke: colour("--line"), width: 1 };
  const font = "11px system-ui, sans-serif";
  return {
    width: Math.max(element.clientWidth, 100),
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false, setScale: false }, y: false },
    scales: {
      x: { time: true, range: (_, __, last) => [(last ?? 0) - SPAN / 1_000, last ?? 0] },
      y: { range: (_, __, top) => [0, top && top > 0 ? top * 1.08 : 1] },
    },
    axes: [
      {
        stroke: colour("--soft"),
        grid,
        ticks: grid,
        font,
        size: 28,
        values: (_, splits) => splits.map((at) => time.format(at * 1_000).slice(0, 5)),
      },
      {
        stroke: colour("--soft"),
        grid,
        ticks: grid,
        font,
        size: 68,
        ...(isBytes && { incrs: POWERS }),
        values: (_, splits) => splits.map((value) => say(value)),
      },
    ],
    series: [
      {},
      ...lines.map(({ label, colour: name, isDashed }) => ({
        label,
        stroke: colour(name),
        width: 1.5,
        spanGaps: false,
        points: { show: false },
        ...(isDashed && { dash: [5, 4] }),
      })),
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
  };
}

/** The plot for those who do not see it. */
function describe(label: string, points: readonly Point[], lines: readonly Line[], say: TimePlotProps["say"]): string {
  const parts = lines.map(({ of, label }) => {
    const known = points.map((point) => point[of]).filter((value) => value !== null);
    if (!known.length) return `${label}: nothing known yet`;
    return `${label}: between ${say(known.reduce((a, b) => Math.min(a, b)))} and ${say(known.reduce((a, b) => Math.max(a, b)))}`;
  });
  return `${label}, last ten minutes. ${parts.join("; ")}. Arrow keys read single moments.`;
}
