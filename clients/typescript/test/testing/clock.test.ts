import { describe, expect, it } from "vitest";
import { createClock, createPage, expectNoLeaks } from "../../src/testing/index.ts";

describe("the clock", () => {
  it("stands still until it is moved, and fires timers in their order", async () => {
    const clock = createClock(0);
    const fired: string[] = [];
    const note = (name: string) => () => void fired.push(`${name}@${clock.now()}`);
    clock.setTimeout(note("c"), 20);
    clock.setTimeout(note("a"), 10);
    clock.setTimeout(note("b"), 10);
    clock.clearTimeout(clock.setTimeout(note("never"), 5));
    expect([clock.pending, clock.next]).toEqual([3, 10]);
    await clock.advance(10);
    expect(fired).toEqual(["a@10", "b@10"]);
    await clock.advance(9);
    expect([clock.now(), clock.next]).toEqual([19, 1]);
    await clock.advance(1);
    expect([fired.at(-1), clock.pending, clock.next]).toEqual(["c@20", 0, Infinity]);
  });

  it("lets everything happen that a timer sets off, before the next one fires", async () => {
    const clock = createClock(0);
    const fired: string[] = [];
    clock.setTimeout(() => {
      void (async () => {
        for (let step = 0; step < 20; step++) await undefined;
        fired.push("promise");
        clock.setTimeout(() => fired.push("nested"), 1);
      })();
    }, 10);
    clock.setTimeout(() => fired.push("later"), 20);
    await clock.advance(100);
    expect(fired).toEqual(["promise", "nested", "later"]);
    expect(clock.now()).toBe(100);
  });

  it("sleeps: what is due fires only afterwards", async () => {
    const clock = createClock(0);
    let at = 0;
    clock.setTimeout(() => (at = clock.now()), 10);
    await clock.sleep(1_000);
    expect(at).toBe(1_000);
  });
});

describe("the page", () => {
  it("tells what happens, and knows how many listen", async () => {
    const page = createPage();
    const told: string[] = [];
    const listener = (event: Event): void => void told.push(event.type);
    for (const type of ["online", "offline", "pagehide", "pageshow"]) page.addEventListener(type, listener);
    for (const type of ["visibilitychange", "freeze", "resume"]) page.document.addEventListener(type, listener);
    page.addEventListener("online", listener);
    expect(page.listeners).toBe(7);
    page.hide();
    expect(page.document.visibilityState).toBe("hidden");
    page.freeze();
    page.resume();
    page.show();
    page.offline();
    expect(page.navigator.onLine).toBe(false);
    page.online();
    page.leave();
    page.comeBack();
    expect(told).toEqual(
      ["visibilitychange", "freeze", "resume", "visibilitychange", "offline", "online", "pagehide", "pageshow"],
    );
    for (const type of ["online", "offline", "pagehide", "pageshow"]) page.removeEventListener(type, listener);
    for (const type of ["visibilitychange", "freeze", "resume"]) page.document.removeEventListener(type, listener);
    expect(page.listeners).toBe(0);
    await expectNoLeaks();
  });
});
