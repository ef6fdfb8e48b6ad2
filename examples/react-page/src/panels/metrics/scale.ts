import type { Away, Point } from "./history.ts";

/** Units of a drawing; it is stretched to the place that it has. */
export const WIDTH = 600;
export const HEIGHT = 120;

/** What a plot shows: a time, and values from 0 up. */
export interface Scale {
  readonly from: number;
  readonly to: number;
  readonly top: number;
}

/** Which figure of a point. */
export type Pick = (point: Point) => number | null;

/** Paths, one for each time in which every value is known. Between two of them there is nothing: no line is drawn over a hole. */
export function linesOf(points: readonly Point[], pick: Pick, scale: Scale): readonly string[] {
  const lines: string[][] = [];
  let line: string[] | null = null;
  for (const point of points) {
    const value = pick(point);
    if (value === null) line = null;
    else {
      if (!line) lines.push((line = []));
      line.push(`${x(point.at, scale)} ${y(value, scale)}`);
    }
  }
  // One moment alone is a dot: a line of no length with round ends.
  return lines.map((line) => `M${line.join(" L")}${line.length === 1 ? " h0" : ""}`);
}

/** Where nothing came: its left side and its width. */
export function bandOf({ from, to }: Away, scale: Scale): { x: number; width: number } {
  const left = Math.max(Number(x(from, scale)), 0);
  return { x: left, width: Math.max(Number(x(to, scale)) - left, 0) };
}

/** A round number at or above the highest value, so that the scale does not change with every sample. */
export function topOf(values: readonly (number | null)[], atLeast: number, base = 10): number {
  const highest = Math.max(0, ...values.filter((value) => value !== null));
  if (highest <= atLeast) return atLeast;
  const scale = base ** Math.floor(Math.log(highest) / Math.log(base));
  const steps = base === 10 ? [1, 2, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  return (steps.find((step) => step * scale >= highest) ?? base) * scale;
}

function x(at: number, { from, to }: Scale): string {
  return (((at - from) / (to - from)) * WIDTH).toFixed(1);
}

function y(value: number, { top }: Scale): string {
  return (HEIGHT - Math.min(Math.max(value / top, 0), 1) * HEIGHT).toFixed(1);
}
