/** What the feed publishes and the page shows. */

export type AgentStatus = "idle" | "thinking" | "working" | "waiting" | "failed";

export interface AgentNode {
  readonly id: string;
  readonly name: string;
  readonly status: AgentStatus;
}

export interface AgentEdge {
  readonly from: string;
  readonly to: string;
  /** So far. */
  readonly messages: number;
  /** One came a moment ago. */
  readonly busy: boolean;
}

export interface AgentMessage {
  readonly from: string;
  readonly to: string;
  readonly kind: string;
}

/** The whole network after one message, so that each update stands for itself. */
export interface NetworkUpdate {
  /** One life of a publisher. */
  readonly run: string;
  /** Counts the updates of a run, from 1, without holes: what makes a loss visible. */
  readonly n: number;
  readonly nodes: readonly AgentNode[];
  readonly edges: readonly AgentEdge[];
  readonly message: AgentMessage;
}

/** The event types of the session, for the hooks. */
export interface Events {
  agent_network_update: NetworkUpdate;
}
