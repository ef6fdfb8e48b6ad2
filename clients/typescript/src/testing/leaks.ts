import { ledger, type Ledger } from "../ledger.ts";
import { lingering } from "../lingering.ts";
import { settle } from "./settle.ts";

export type { Ledger } from "../ledger.ts";

/** How often it is looked again before what is left counts as left. Unmounting takes a few tasks. */
const LOOKS = 20;

/** What all clients of this realm hold right now: to be compared with later, by {@link expectNoLeaks}. */
export function takeLedger(): Ledger {
  return { ...ledger };
}

/**
 * Asserts that all clients, hooks' clients included, have given everything back: connections, requests, timers,
 * listeners, handlers. Gives what is under way (an unmount) a moment first, of tasks, not of time.
 *
 * @param baseline What was held before, from {@link takeLedger}. Default: nothing.
 * @throws Error, which lists what is left.
 */
export async function expectNoLeaks(baseline?: Ledger): Promise<void> {
  await expectNothingLeft(() => since(baseline));
}

/** What is held now and was not held before, by name. */
export function since(baseline?: Ledger): Record<string, number> {
  const held = takeLedger();
  const names = Object.keys(held) as (keyof Ledger)[];
  return Object.fromEntries(names.map((name) => [name, held[name] - (baseline?.[name] ?? 0)]));
}

/** Throws unless everything that `count` counts becomes zero. */
export async function expectNothingLeft(count: () => Record<string, number>): Promise<void> {
  let left: [string, number][] = [];
  // Connections that wait for who comes next: nobody comes.
  for (const end of [...lingering]) end();
  for (let look = 0; look < LOOKS; look++) {
    await settle(1);
    left = Object.entries(count()).filter(([, number]) => number !== 0);
    if (!left.length) return;
  }
  throw new Error(`not given back: ${left.map(([name, number]) => `${number} ${name}`).join(", ")}`);
}
