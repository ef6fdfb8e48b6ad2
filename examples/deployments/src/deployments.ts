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
  /** When its log goes; `null` while it is not over. */
  readonly logUntil: number | null;
  readonly version: number;
}

export interface Snapshot {
  readonly deployments: readonly Deployment[];
  /** Where its stream stood before the snapshot; `null` if the hub did not say. */
  readonly lastEventId: string | null;
}

/** What is known of deployments, also of those that were given away: what was told of them before is not to bring them back. */
export type Rows = ReadonlyMap<string, Deployment>;

/** Of how many that were given away it is kept that they were. */
const GIVEN_MAX = 1_000;

/** Adds deployments, each where it is newer than what is known. */
export function merge(rows: Rows, user: string, news: readonly Deployment[]): Rows {
  const merged = new Map(rows);
  for (const deployment of news) {
    const known = merged.get(deployment.id);
    if (!known || known.version < deployment.version) merged.set(deployment.id, deployment);
  }
  const given = [...merged.values()].filter(({ owner }) => owner !== user);
  for (const { id } of given.slice(0, -GIVEN_MAX)) merged.delete(id);
  return merged;
}

/**
 * What a snapshot has not, is not there any more, unless it was heard of while the snapshot was on its way.
 *
 * @param asked what was known when it was asked for
 */
export function replace(rows: Rows, asked: Rows, user: string, { deployments }: Snapshot): Rows {
  const there = new Set(deployments.map(({ id }) => id));
  const kept = [...rows].filter(([id, one]) => there.has(id) || one.owner !== user || asked.get(id) !== one);
  return merge(new Map(kept), user, deployments);
}

/** The user's, the newest first. */
export function inOrder(rows: Rows, user: string): readonly Deployment[] {
  return [...rows.values()].filter(({ owner }) => owner === user).sort((a, b) => b.createdAt - a.createdAt);
}

export function sayState({ state, exitCode }: Deployment): string {
  if (state === "failed") return `failed with exit code ${exitCode ?? "?"}`;
  if (state === "lost") return "lost: nobody knows how it ended";
  return state;
}

export function sayTook({ startedAt, endedAt }: Deployment): string {
  return startedAt && endedAt ? `${(endedAt - startedAt).toFixed(1)} s` : "";
}

/** Whether there is a log to wait for: it goes some days after its end, and what it was about stays in the list. */
export function hasLog({ logUntil }: Deployment, now = Date.now() / 1_000): boolean {
  return logUntil === null || now < logUntil;
}
