// How old a sample is, though the clocks of hub and page differ: what counts is by how much they differ more than at best.

/** The page's time minus the hub's when the last samples came, seconds. */
export type Lags = readonly number[];

/** How many are looked at: a clock that was set meanwhile is forgotten after so many samples. */
const LAGS_MAX = 12;

/** @param now the page's time when the sample came, seconds */
export function addLag(lags: Lags, now: number, sampledAt: number): Lags {
  return [...lags, now - sampledAt].slice(-LAGS_MAX);
}

/** How old a sample is, seconds. The least lag is the one that has the least of the way in it. */
export function ageOf(lags: Lags, now: number, sampledAt: number): number {
  return lags.length ? Math.max(0, now - Math.min(...lags) - sampledAt) : 0;
}
