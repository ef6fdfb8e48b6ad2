import { onAbort } from "./environment.ts";
import { ledger } from "./ledger.ts";
import type { OnOptions, Unsubscribe } from "./types.ts";

type Handler = (...args: any[]) => void;

/**
 * Who is told of what: type -> registration -> its own way out. The same function twice is two registrations. Any of
 * them may come or go while another is being called.
 */
export class Handlers {
  readonly #types = new Map<string, Map<Unsubscribe, Handler>>();

  add(type: string, handler: Handler, { signal, once }: OnOptions = {}): Unsubscribe {
    const registered = this.#types.get(type) ?? new Map<Unsubscribe, Handler>();
    const off = (): void => {
      if (!registered.delete(off)) return;
      if (!registered.size) this.#types.delete(type);
      ledger.handlers--;
      stopListening();
    };
    let stopListening = (): void => {};
    ledger.handlers++;
    this.#types.set(type, registered.set(off, once ? (...args) => (off(), handler(...args)) : handler));
    stopListening = onAbort(signal, off);
    return off;
  }

  has(type: string): boolean {
    return this.#types.has(type);
  }

  /** Calls those of a type. None is called that went meanwhile; what one throws is passed on and stops nobody. */
  call(type: string, args: unknown[], failed: (thrown: unknown) => void): void {
    const registered = this.#types.get(type);
    if (!registered) return;
    for (const [off, handler] of [...registered]) {
      try {
        if (registered.has(off)) handler(...args);
      } catch (thrown) {
        failed(thrown);
      }
    }
  }

  /** Takes all back. */
  clear(): void {
    for (const registered of this.#types.values()) for (const off of registered.keys()) off();
  }
}
