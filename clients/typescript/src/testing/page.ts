import type { Page } from "../index.ts";

/** What an `EventTarget` takes, by whatever name its library has for it. */
export type Listener = NonNullable<Parameters<EventTarget["addEventListener"]>[1]>;

/** An `EventTarget` that knows how many listen to it. */
class CountingTarget extends EventTarget {
  #listeners = new Map<string, Set<unknown>>();

  /** How many listen to it. */
  get listeners(): number {
    return [...this.#listeners.values()].reduce((sum, { size }) => sum + size, 0);
  }

  override addEventListener(type: string, listener: Listener | null): void {
    if (!listener) return;
    this.#listeners.set(type, (this.#listeners.get(type) ?? new Set()).add(listener));
    super.addEventListener(type, listener);
  }

  override removeEventListener(type: string, listener: Listener | null): void {
    this.#listeners.get(type)?.delete(listener);
    super.removeEventListener(type, listener);
  }
}

/** The document of a {@link FakePage}. */
export class FakeDocument extends CountingTarget {
  visibilityState: "visible" | "hidden" = "visible";
}

/** A page whose life a test plays, for the `page` option of clients and hooks. Made by {@link createPage}. */
export class FakePage extends CountingTarget implements Page {
  readonly document: FakeDocument = new FakeDocument();
  readonly navigator: { onLine: boolean } = { onLine: true };

  /** Listeners on the page and on its document. */
  override get listeners(): number {
    return super.listeners + this.document.listeners;
  }

  /** The user looks at another tab. */
  hide(): void {
    this.document.visibilityState = "hidden";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  /** The user is back. */
  show(): void {
    this.document.visibilityState = "visible";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  /** The network is gone, says the browser. Connections do not notice by themselves: see `drop` and `silence` of the hub. */
  offline(): void {
    this.navigator.onLine = false;
    this.dispatchEvent(new Event("offline"));
  }

  /** The network is back. */
  online(): void {
    this.navigator.onLine = true;
    this.dispatchEvent(new Event("online"));
  }

  /** The browser suspends the hidden page. */
  freeze(): void {
    this.document.dispatchEvent(new Event("freeze"));
  }

  /** The browser lets it go on. */
  resume(): void {
    this.document.dispatchEvent(new Event("resume"));
  }

  /** The user leaves the page: it goes into the back-forward cache, or to its end. */
  leave(): void {
    this.dispatchEvent(new Event("pagehide"));
  }

  /** The user comes back to it. */
  comeBack(): void {
    this.dispatchEvent(new Event("pageshow"));
  }
}

/** A visible page with a network, on which nothing happens until a test says so. */
export function createPage(): FakePage {
  return new FakePage();
}
