import type { Page } from "../../src/environment.ts";

/** An `EventTarget` that knows how many listen. */
class CountingTarget extends EventTarget {
  listeners = 0;

  override addEventListener(type: string, listener: EventListener | (() => void) | null): void {
    this.listeners++;
    super.addEventListener(type, listener as EventListener);
  }

  override removeEventListener(type: string, listener: EventListener | (() => void) | null): void {
    this.listeners--;
    super.removeEventListener(type, listener as EventListener);
  }
}

class FakeDocument extends CountingTarget {
  visibilityState = "visible";
}

/** A page whose life a test plays. */
export class FakePage extends CountingTarget implements Page {
  readonly document: FakeDocument = new FakeDocument();
  readonly navigator: { onLine: boolean } = { onLine: true };

  hide(): void {
    this.document.visibilityState = "hidden";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  show(): void {
    this.document.visibilityState = "visible";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  offline(): void {
    this.navigator.onLine = false;
    this.dispatchEvent(new Event("offline"));
  }

  online(): void {
    this.navigator.onLine = true;
    this.dispatchEvent(new Event("online"));
  }

  /** On its way into the back-forward cache, or to its end. */
  pagehide(): void {
    this.dispatchEvent(new Event("pagehide"));
  }

  pageshow(): void {
    this.dispatchEvent(new Event("pageshow"));
  }

  /** Listeners on the page and its document. */
  get allListeners(): number {
    return this.listeners + this.document.listeners;
  }
}

/** A signal that knows how many listen to it. */
export function countingSignal(): { signal: AbortSignal; abort(): void; listeners(): number } {
  const controller = new AbortController();
  const { signal } = controller;
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: unknown[]): void => {
    listeners++;
    (add as (...args: unknown[]) => void)(...args);
  };
  signal.removeEventListener = (...args: unknown[]): void => {
    listeners--;
    (remove as (...args: unknown[]) => void)(...args);
  };
  return { signal, abort: () => controller.abort(), listeners: () => listeners };
}
