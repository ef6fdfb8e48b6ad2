import { onAbort } from "./environment.ts";
import { ledger } from "./ledger.ts";
import type { OnOptions, Unsubscribe } from "./types.ts";

type Handler = (...args: any[]) => void;

/**
 * Who is told of what: type -> registration -> its own way out. The same function twice is two registrations. Any of
 * them may come or go while another is being called.
 */
export interface Handlers {
  add(type: string, handler: Handler, options?: OnOptions): Unsubscribe;
  has(type: string): boolean;
  /** Calls those of a type. None is called that went meanwhile; what one throws is passed on and stops nobody. */
  call(type: string, args: unknown[], failed: (thrown: unknown) => void): void;
  /** Takes all back. */
  clear(): void;
}

export function createHandlers(): Handlers {
  const types = new Map<string, Map<Unsubscribe, Handler>>();
  return {
    add(type, handler, { signal, once } = {}) {
      const registered = types.get(type) ?? new Map<Unsubscribe, Handler>();
      const off = (): void => {
        if (!registered.delete(off)) return;
        if (!registered.size) types.delete(type);
        ledger.handlers--;
        stopListening();
      };
      let stopListening = (): void => {};
      ledger.handlers++;
      types.set(type, registered.set(off, once ? (...args) => (off(), handler(...args)) : handler));
      stopListening = onAbort(signal, off);
      return off;
    },

    has: (type) => types.has(type),

    call(type, args, failed) {
      const registered = types.get(type);
      for (const [off, handler] of [...(registered ?? [])]) {
        try {
          if (registered?.has(off)) handler(...args);
        } catch (thrown) {
          failed(thrown);
        }
      }
    },

    clear() {
      for (const registered of types.values()) for (const off of registered.keys()) off();
    },
  };
}
