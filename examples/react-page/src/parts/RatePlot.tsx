import { SECONDS, type Rate } from "../journal/rate.ts";
import { useSeconds } from "./hooks.ts";

/** Units of the drawing; it is stretched to the place that it has. */
const WIDTH = 600;
const HEIGHT = 120;

/** Events per second over the last minute. Moves once a second, so it is calm at any rate. */
export function RatePlot({ rate }: { rate: Rate }) {
  const seconds = rate.read(useSeconds());
  const events = seconds.map((second) => second.events);
  const most = Math.max(...events);
  const top = roundUp(most);
  const last = events.at(-1) ?? 0;
  const line = events.map((n, index) => `${x(index)} ${(HEIGHT - (n / top) * HEIGHT).toFixed(1)}`).join(" L");
  return (
    <figure className="card rate">
      <figcaption>
        <h2>Events per second</h2>
        <p>
          now{" "}
          <strong className="number" data-testid="rate">
            {last}
          </strong>{" "}
          at most <span className="number">{most}</span>
        </p>
      </figcaption>
      <div className="plot">
        <span className="top" aria-hidden="true">
          {top}
        </span>
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={`Events per second over the last ${SECONDS} seconds: ${last} now, ${most} at most`}
          data-testid="rate-plot"
        >
          <path className="grid" d={`M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}`} />
          {seconds.map((second, index) => second.gap && <GapMark key={index} at={index} />)}
          <path className="area" d={`M0 ${HEIGHT} L${line} L${WIDTH} ${HEIGHT}z`} />
          <path className="line" data-testid="rate-line" d={`M${line}`} />
        </svg>
      </div>
      <p className="axis" aria-hidden="true">
        <span>{SECONDS} s ago</span>
        <span>now</span>
      </p>
    </figure>
  );
}

/** Where in time events are missing. */
function GapMark({ at }: { at: number }) {
  return (
    <path className="gap-mark" d={`M${x(at)} 0V${HEIGHT}`}>
      <title>a gap</title>
    </path>
  );
}

function x(index: number): string {
  return ((index / (SECONDS - 1)) * WIDTH).toFixed(1);
}

/** A round number above the highest, so that the scale does not change with every second. */
function roundUp(highest: number): number {
  const steps = [5, 10, 20, 50];
  for (let scale = 1; ; scale *= 10) {
    const fitting = steps.find((step) => step * scale > highest);
    if (fitting) return fitting * scale;
  }
}
