// What the feed publishes: a small network of agents that hand work to each other. Made up, but never the same twice.

/** @import { AgentStatus, NetworkUpdate } from "../src/network.ts" */

const AGENTS = ["Planner", "Researcher", "Writer", "Critic", "Coder", "Tester", "Operator"];

/** Who talks to whom, and about what. */
const LINKS = [
  ["planner", "researcher", "question"],
  ["planner", "coder", "task"],
  ["planner", "writer", "task"],
  ["researcher", "planner", "answer"],
  ["researcher", "writer", "source"],
  ["coder", "tester", "build"],
  ["tester", "coder", "failure"],
  ["coder", "critic", "change"],
  ["critic", "coder", "remark"],
  ["tester", "operator", "release"],
  ["writer", "critic", "draft"],
  ["critic", "planner", "verdict"],
  ["operator", "planner", "report"],
];

/** How long an edge is shown as busy after a message, milliseconds. */
const BUSY = 700;

/** What an agent does next when its time is over. @type {Record<AgentStatus, AgentStatus>} */
const NEXT = { idle: "idle", thinking: "working", working: "idle", waiting: "idle", failed: "thinking" };

/**
 * A network. Each call of what it returns is one message between two agents, and the state of all of them after it: an
 * update stands for itself, so who missed some is right again with the next one.
 *
 * @param {() => number} [random]
 * @returns {(now: number) => Pick<NetworkUpdate, "nodes" | "edges" | "message">}
 */
export function createNetwork(random = Math.random) {
  const nodes = AGENTS.map((name) => ({
    id: name.toLowerCase(),
    name,
    status: /** @type {AgentStatus} */ ("idle"),
    until: 0,
  }));
  const edges = LINKS.map(([from = "", to = "", kind = ""]) => ({ from, to, kind, messages: 0, busyUntil: 0 }));

  /**
   * @param {string} id
   * @param {AgentStatus} status
   * @param {number} until
   */
  const put = (id, status, until) => {
    const node = nodes.find((one) => one.id === id);
    if (node) Object.assign(node, { status, until });
  };

  return (now) => {
    for (const node of nodes) {
      if (node.until > now) continue;
      node.status = NEXT[node.status];
      node.until = now + 800 + random() * 1_700;
    }
    const edge = edges[Math.floor(random() * edges.length)];
    if (!edge) throw new Error("a network without edges");
    edge.messages++;
    edge.busyUntil = now + BUSY;
    if (random() < 0.5) put(edge.from, "waiting", now + 600 + random() * 1_400);
    if (random() < 0.01) put(edge.to, "failed", now + 2_500);
    // Who is at work is not kept from it.
    else if (/idle|waiting/.test(nodes.find(({ id }) => id === edge.to)?.status ?? "")) {
      put(edge.to, "thinking", now + 400 + random() * 800);
    }
    return {
      nodes: nodes.map(({ id, name, status }) => ({ id, name, status })),
      edges: edges.map(({ from, to, messages, busyUntil }) => ({ from, to, messages, busy: busyUntil > now })),
      message: { from: edge.from, to: edge.to, kind: edge.kind },
    };
  };
}
