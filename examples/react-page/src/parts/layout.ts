import type { AgentEdge, AgentNode } from "../network.ts";

/** Of a drawing: what is on a small screen is high rather than wide, so that the names can be read. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

export const WIDE: Size = { width: 640, height: 440 };
export const NARROW: Size = { width: 380, height: 500 };

/** Of a node. */
export const RADIUS = 27;
/** How far an edge bends aside, so that the one that leads back does not lie on it. */
const BEND = 22;
/** Between a node and the tip of an arrow. */
const SPACE = 5;

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The first node in the middle, the others around it. The same nodes are always in the same places. */
export function place(ids: readonly AgentNode["id"][], { width, height }: Size): ReadonlyMap<string, Point> {
  const around = ids.length - 1;
  return new Map(
    ids.map((id, index) => {
      const angle = ((index - 1) / Math.max(around, 1)) * 2 * Math.PI - Math.PI / 2;
      const [rx, ry] = index === 0 ? [0, 0] : [width / 2 - 62, height / 2 - 62];
      // The names stand under the nodes, so everything is a little higher than the middle.
      return [id, { x: width / 2 + rx * Math.cos(angle), y: height / 2 - 16 + ry * Math.sin(angle) }];
    }),
  );
}

/** The path of an edge, from rim to rim; nothing if one of its ends is no node. */
export function draw({ from, to }: AgentEdge, places: ReadonlyMap<string, Point>): string | undefined {
  const [a, b] = [places.get(from), places.get(to)];
  if (!a || !b) return undefined;
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const middle = {
    x: (a.x + b.x) / 2 - ((b.y - a.y) / length) * BEND,
    y: (a.y + b.y) / 2 + ((b.x - a.x) / length) * BEND,
  };
  const start = towards(a, middle, RADIUS + SPACE);
  const end = towards(b, middle, RADIUS + SPACE);
  return `M${say(start)} Q${say(middle)} ${say(end)}`;
}

function towards(from: Point, to: Point, distance: number): Point {
  const part = distance / (Math.hypot(to.x - from.x, to.y - from.y) || 1);
  return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
}

function say({ x, y }: Point): string {
  return `${x.toFixed(1)} ${y.toFixed(1)}`;
}
