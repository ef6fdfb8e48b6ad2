import type { Family, MetricSample } from "./sample.ts";

/** How many rows are drawn. */
export const ROWS_MAX = 200;

export interface FamilyRow {
  readonly key: string;
  readonly family: Family;
  readonly sample: MetricSample;
}

/** The rows to show: of the chosen families, those in whose name or labels the words are; and how many more there are. */
export function rowsOf(
  families: readonly Family[],
  chosen: readonly string[] | undefined,
  words: string,
): { rows: readonly FamilyRow[]; more: number } {
  const shown = families.filter(({ name }) => !chosen || chosen.includes(name));
  const wanted = words.trim().toLowerCase();
  const all = shown
    // By place: two families may have one name.
    .flatMap((family, place) => family.samples.map((sample, index) => ({ key: `${place} ${index}`, family, sample })))
    .filter(({ sample }) => `${sample.name}${sayLabels(sample)}`.toLowerCase().includes(wanted));
  const unread = wanted ? 0 : shown.reduce((sum, { more }) => sum + more, 0);
  return { rows: all.slice(0, ROWS_MAX), more: Math.max(all.length - ROWS_MAX, 0) + unread };
}

/** The labels as Prometheus writes them. */
export function sayLabels({ labels }: Pick<MetricSample, "labels">): string {
  return labels.length ? `{${labels.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(",")}}` : "";
}
