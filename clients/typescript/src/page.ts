import { listen, type Page } from "./environment.ts";

/**
 * Listens to what happens to the page. A hidden page is no reason to close anything; one that goes into the back-forward
 * cache is, because an open stream would keep it out.
 *
 * @param wake something suggests that an attempt may work now
 * @param pause the page goes away, perhaps to come back
 * @returns what takes the listeners back
 */
export function watchPage(page: Page, wake: () => void, pause: () => void): () => void {
  const { document } = page;
  const offs = [
    listen(page, "online", wake),
    listen(page, "pageshow", wake),
    listen(page, "pagehide", pause),
    listen(document, "visibilitychange", () => document?.visibilityState !== "hidden" && wake()),
  ];
  return () => offs.forEach((off) => off());
}

/** Nobody looks, or there is no network. */
export function isAsleep({ document, navigator }: Page): boolean {
  return document?.visibilityState === "hidden" || navigator?.onLine === false;
}
