import { listen } from "./environment.ts";
import { ledger } from "./ledger.ts";
import type { OnOptions, Unsubscribe } from "./types.ts";

interface Entry<A extends unknown[]> {
  readonly handler: (...args: A) => void;
  live: boolean;
  readonly off: Unsubscribe;
}

/**
 * Who is told of what: type -> registrations, each with its own way out. The same function twice is two
 * registrations. Lists are replaced, never changed, so that one may come or go while another is being called.
 */
export class Handlers<A extends unknown[]> {
  #lists = new Map<string, readonly Entry<A>[]>();

  add(type: string, handler: (...args: A) => void, options: OnOptions = {}): Unsubscribe {
    const { signal, once } = options;
    if (signal?.aborted) return () => {};
    const off = (): void => {
      if (!entry.live) return;
      entry.live = false;
      ledger.handlers--;
      unlisten();
      const rest = this.#lists.get(type)?.filter((other) => other !== entry);
      if (rest?.length) this.#lists.set(type, rest);
      else this.#lists.delete(type);
    };
    const unlisten = listen(signal, "abort", off);
    const entry: Entry<A> = {
      live: true,
      off,
      handler: once ? (...args) => (off(), handler(...args)) : handler,
    };
    this.#lists.set(type, [...(this.#lists.get(type) ?? []), entry]);
    ledger.handlers++;
    return off;
  }

  has(type: string): boolean {
    return this.#lists.has(type);
  }

  /** Calls those of a type. None is called that went meanwhile; what one throws is passed on and stops nobody. */
  call(type: string, args: A, failed: (thrown: unknown) => void): void {
    for (const entry of this.#lists.get(type) ?? []) {
      if (!entry.live) continue;
      try {
        entry.handler(...args);
      } catch (thrown) {
        failed(thrown);
      }
    }
  }

  clear(): void {
    for (const list of [...this.#lists.values()]) for (const entry of list) entry.off();
  }
}
