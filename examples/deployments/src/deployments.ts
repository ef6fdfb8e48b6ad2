/** A deployment as the API tells of it. Times are seconds since the Unix epoch. */
export interface Deployment {
  readonly id: string;
  readonly owner: string;
  readonly project: string;
  readonly state: "queued" | "running" | "succeeded" | "failed" | "lost";
  readonly exitCode: number | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly version: number;
}

export interface Snapshot {
  readonly deployments: readonly Deployment[];
  /** Where its stream stood before the snapshot; `null` if the hub did not say. */
  readonly lastEventId: string | null;
}

export type Rows = ReadonlyMap<string, Deployment>;

/** Adds deployments, each where it is newer than what is known; those that were given away go. */
export function merge(rows: Rows, user: string, news: readonly Deployment[]): Rows {
  const merged = new Map(rows);
  for (const deployment of news) {
    const known = merged.get(deployment.id);
    if (known && known.version >= deployment.version) continue;
    if (deployment.owner === user) merged.set(deployment.id, deployment);
    else merged.delete(deployment.id);
  }
  return merged;
}

/** What a snapshot has not, is not there any more. */
export function replace(rows: Rows, user: string, { deployments }: Snapshot): Rows {
  const there = new Set(deployments.map(({ id }) => id));
  const kept = [...rows].filter(([id]) => there.has(id));
  return merge(new Map(kept), user, deployments);
}

/** The newest first. */
export function inOrder(rows: Rows): readonly Deployment[] {
  return [...rows.values()].sort((a, b) => b.createdAt - a.createdAt);
}

export function sayState({ state, exitCode }: Deployment): string {
  if (state === "failed") return `failed with exit code ${exitCode ?? "?"}`;
  if (state === "lost") return "lost: nobody knows how it ended";
  return state;
}

export function sayTook({ startedAt, endedAt }: Deployment): string {
  return startedAt && endedAt ? `${(endedAt - startedAt).toFixed(1)} s` : "";
}
