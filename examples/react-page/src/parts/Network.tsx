import { memo, useMemo } from "react";
import type { AgentEdge, AgentNode, AgentStatus, NetworkUpdate } from "../network.ts";
import { useIsNarrow } from "./hooks.ts";
import { NARROW, RADIUS, WIDE, draw, place, type Point } from "./layout.ts";

const STATUSES: readonly AgentStatus[] = ["idle", "thinking", "working", "waiting", "failed"];
const NO_NODES: readonly AgentNode[] = [];

/** The agents, what each of them does, and who has just spoken to whom. */
export function Network({ latest }: { latest: NetworkUpdate | undefined }) {
  const nodes = latest?.nodes ?? NO_NODES;
  const ids = nodes.map(({ id }) => id).join("\n");
  const size = useIsNarrow() ? NARROW : WIDE;
  const places = useMemo(() => place(ids ? ids.split("\n") : [], size), [ids, size]);
  return (
    <figure className="card network">
      <figcaption>
        <h2>Agents</h2>
        <ul className="legend" aria-label="Colours">
          {STATUSES.map((status) => (
            <li key={status} data-status={status}>
              <span className="swatch" aria-hidden="true" />
              {status}
            </li>
          ))}
        </ul>
      </figcaption>
      <svg
        viewBox={`0 0 ${size.width} ${size.height}`}
        role="img"
        aria-label={nodes.length ? nodes.map(({ name, status }) => `${name} ${status}`).join(", ") : "No agents yet"}
        data-testid="network"
        data-n={latest?.n}
      >
        <defs>
          <Arrow id="arrow" />
          <Arrow id="arrow-busy" />
        </defs>
        {latest?.edges.map((edge) => (
          <Edge key={`${edge.from} ${edge.to}`} path={draw(edge, places)} {...edge} />
        ))}
        {nodes.map((node) => (
          <Node key={node.id} at={places.get(node.id)} {...node} />
        ))}
        {!latest && (
          <text className="empty" x={size.width / 2} y={size.height / 2}>
            Waiting for the first update
          </text>
        )}
      </svg>
    </figure>
  );
}

function Arrow({ id }: { id: string }) {
  return (
    <marker id={id} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">
      <path d="M0 0.500 8 4 0 7.500z" />
    </marker>
  );
}

const Edge = memo(function Edge({ path, from, to, messages, busy }: AgentEdge & { path: string | undefined }) {
  return (
    <path className="edge" data-testid="edge" data-busy={busy} d={path} markerEnd={`url(#${busy ? "arrow-busy" : "arrow"})`}>
      <title>{`${from} to ${to}: ${messages} messages`}</title>
    </path>
  );
});

const Node = memo(function Node({ at, name, status }: AgentNode & { at: Point | undefined }) {
  if (!at) return null;
  return (
    <g className="node" data-testid="node" data-status={status} transform={`translate(${at.x.toFixed(1)} ${at.y.toFixed(1)})`}>
      <circle className="pulse" r={RADIUS} />
      <circle className="disc" r={RADIUS} />
      <text className="initials" dy="0.35em">
        {name.slice(0, 2)}
      </text>
      <text className="name" y={RADIUS + 19}>
        {name}
      </text>
      <text className="status" y={RADIUS + 35}>
        {status}
      </text>
    </g>
  );
});
