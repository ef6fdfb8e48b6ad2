import { expect, test } from "vitest";
import { storm } from "../kit/storm.ts";

// Random schedules of drops, silences, statuses, clock jumps, hides and commands. STORM_STEPS says how many steps, and
// STORM_SEED repeats a run.
const steps = Number(process.env["STORM_STEPS"] ?? 100_000);
const seed = Number(process.env["STORM_SEED"] ?? Date.now() % 1_000_000);

test(`${steps} steps of bad luck from seed ${seed}: nothing lost without a gap, nothing doubled, nothing left`, { timeout: 1_800_000 }, async () => {
  console.log(`storm: seed ${seed}`);
  const { faults, published, delivered, gaps } = await storm(seed, steps);
  expect(faults).toEqual([]);
  // And there was something to lose.
  expect(Math.min(published, delivered)).toBeGreaterThan(steps / 2);
  expect(gaps).toBeGreaterThan(0);
});
