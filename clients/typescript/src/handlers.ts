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
  /** Calls those of a type. None is called that went meanwhile. */
  call(type: string, ...args: unknown[]): void;
  /** Takes all back. */
  clear(): void;
}

/** @param guard runs each call, so that what one handler throws stops nobody */
export function createHandlers(guard: (call: () => unknown) => void): Handlers {
  const types = new Map<string, Map<Unsubscribe, Handler>>();
  return {
    add(type, handler, { signal, once } = {}) {
      const registered = types.get(type) ?? new Map<Unsubscribe, Handler>();
      let stopListening: Unsubscribe | undefined;
      const off = (): void => {
        if (!registered.delete(off)) return;
        if (!registered.size) types.delete(type);
        ledger.handlers--;
        stopListening?.();
      };
      ledger.handlers++;
      types.set(type, registered.set(off, once ? (...args) => (off(), handler(...args)) : handler));
      stopListening = onAbort(signal, off);
      return off;
    },

    has: (type) => types.has(type),

    call(type, ...args) {
      const registered = types.get(type);
      for (const [off, handler] of new Map(registered)) guard(() => registered?.has(off) && handler(...args));
    },

    clear() {
      for (const registered of types.values()) for (const off of registered.keys()) off();
    },
  };
}
