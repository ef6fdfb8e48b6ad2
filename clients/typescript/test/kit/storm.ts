import { SSEClient, type Gap, type SSEEvent } from "../../src/index.ts";
import { createClock } from "../../src/testing/clock.ts";
import { createMemoryHub } from "../../src/testing/hub.ts";
import { takeLedger, type Ledger } from "../../src/testing/leaks.ts";
import { createPage } from "../../src/testing/page.ts";
import { settle } from "../../src/testing/settle.ts";
import { seeded } from "./wire.ts";

/** What a storm found wrong; empty if nothing was. */
export interface Storm {
  readonly faults: string[];
  readonly published: number;
  readonly delivered: number;
  readonly gaps: number;
}

/** What a reader is owed: every event in order, once, or a gap where some are missing. */
class Account {
  readonly faults: string[] = [];
  delivered = 0;
  gaps = 0;
  #last = 0;
  /** After a gap the next event may be any later one; so may the first: the history may have been shorter than what came before. */
  #mayJump = true;
  readonly #sourceGaps = new Set<string>();

  take({ type, data, id }: SSEEvent): void {
    // The hub's own word before it closes.
    if (type === "error") return;
    if (type === "gap") {
      this.gaps++;
      this.#mayJump = true;
      if ((data as Gap).reason !== "source") return;
      if (this.#sourceGaps.has(id)) this.faults.push(`the gap ${id} of the source: doubled`);
      this.#sourceGaps.add(id);
      return;
    }
    const number = data as number;
    this.delivered++;
    if (number <= this.#last) this.faults.push(`${number} after ${this.#last}: doubled or out of order`);
    else if (number !== this.#last + 1 && !this.#mayJump) this.faults.push(`${number} after ${this.#last}: lost without a gap`);
    this.#last = number;
    this.#mayJump = false;
  }

  get last(): number {
    return this.#last;
  }
}

/**
 * One client and the hub in memory through a random schedule of faults, clock jumps, page events and commands. The same seed
 * gives the same schedule.
 */
export async function storm(seed: number, steps: number): Promise<Storm> {
  const random = seeded(seed);
  const upTo = (limit: number): number => Math.floor(random() * limit);
  const before = takeLedger();
  const clock = createClock();
  const page = createPage();
  const hub = createMemoryHub({ clock, history: 200 });
  let wall = 0;
  const account = new Account();
  const client = new SSEClient({
    sessionId: "s",
    replay: "all",
    fetch: hub.fetch,
    page,
    random,
    clock: { now: () => clock.now() + wall, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout },
    onError: ({ kind, message }) => void (["handler", "parse"].includes(kind) && account.faults.push(message)),
  });
  client.on("*", (_, event) => account.take(event));
  let published = 0;
  const publish = (count: number): void => {
    for (let n = 0; n < count; n++) hub.publish("s", "n", ++published);
  };
  const calm = (): void => {
    hub.buffer(false);
    hub.release();
    hub.chunk();
    page.comeBack();
    page.show();
    page.online();
  };
  const happen: (() => unknown)[] = [
    () => publish(1 + upTo(3)),
    () => publish(1 + upTo(3)),
    () => publish(upTo(300)),
    () => hub.sourceGap("s", upTo(2) ? upTo(9) : null),
    () => hub.drop(),
    () => hub.end(),
    () => hub.silence(),
    () => hub.closingEvent(["SHUTTING_DOWN", "TIMEOUT", "SLOW_CONSUMER"][upTo(3)]),
    () => hub.refuse(1 + upTo(4), [408, 429, 500, 502, 503][upTo(5)] as number, upTo(2) ? { headers: { "retry-after": String(upTo(20)) } } : {}),
    () => hub.refuse(1, new TypeError("no network")),
    () => hub.chunk(1 + upTo(40)),
    () => hub.buffer(upTo(2) === 0),
    () => (upTo(2) ? hub.hold() : hub.release()),
    () => page.hide(),
    () => page.show(),
    () => page.offline(),
    () => page.online(),
    () => page.leave(),
    () => page.comeBack(),
    () => client.reconnect(),
    () => (client.disconnect(), client.connect()),
    () => client.connect(),
    () => void (wall += upTo(2) ? -upTo(7_200_000) : upTo(7_200_000)),
    () => clock.sleep(upTo(3_600_000)),
    () => clock.advance(upTo(60_000)),
    () => clock.advance(upTo(2_000)),
    () => clock.advance(upTo(200)),
    calm,
  ];
  client.connect();
  for (let step = 0; step < steps && !account.faults.length; step++) {
    await happen[upTo(happen.length)]?.();
    await settle(1);
    if (clock.pending > 3) account.faults.push(`${clock.pending} timers wait`);
    if (hub.connections > 1) account.faults.push(`${hub.connections} requests at once`);
    if (step % 500 !== 499) continue;
    // Calm: everything that was published comes, or its gap does.
    calm();
    client.connect();
    publish(1);
    for (let turn = 0; turn < 200 && account.last !== published; turn++) await clock.advance(30_000);
    if (account.last !== published) account.faults.push(`step ${step}: stands at ${account.last} of ${published} (${client.state})`);
  }
  client.destroy();
  const left = Object.entries(takeLedger()).filter(([name, count]) => count !== before[name as keyof Ledger]);
  if (left.length || hub.connections || page.listeners) account.faults.push(`left: ${JSON.stringify(left)}, ${hub.connections} connections`);
  return { faults: account.faults, published, delivered: account.delivered, gaps: account.gaps };
}
