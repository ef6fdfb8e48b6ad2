import { describe, expect, test } from "vitest";
import { ORIGIN_WAIT } from "../../src/limits.ts";
import { Origin, publish } from "../../src/publish.ts";
import { FakeClock } from "../kit/clock.ts";
import { startHub } from "../kit/remote.ts";
import { connect } from "../kit/watch.ts";

describe("events that this page published itself", () => {
  test("are marked, those of others are not, whichever is faster: the event or the answer to its publish", async () => {
    const hub = await startHub();
    const origin = new Origin();
    const watched = connect({ baseUrl: hub.url, sessionId: "s", clock: undefined, origin });
    await watched.until("open");
    const to = { baseUrl: hub.url, sessionId: "s" };

    // The answer first: what has come before is nobody's but others'.
    await publish(to, { data: "theirs" });
    await watched.receive(1);
    expect(watched.events[0]?.own).toBe(false);

    // The event first: its answer is held back until it has come, and another one's with it.
    const late: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      await publish(to, { data: "theirs, meanwhile" });
      await watched.receive(3);
      return response;
    };
    await publish({ ...to, origin, fetch: late }, { data: "ours" });
    const [, ours, theirs] = watched.events;
    expect([ours?.data, theirs?.data]).toEqual(["ours", "theirs, meanwhile"]);
    expect([ours?.own, theirs?.own]).toEqual([expect.any(Promise), expect.any(Promise)]);
    expect(await Promise.all([ours?.own, theirs?.own])).toEqual([true, false]);

    // A batch, and an event that is read again later.
    const ids = await publish({ ...to, origin }, [{ data: 1 }, { data: 2 }]);
    await watched.receive(5);
    expect(ids.map((id) => origin.owns(id))).toEqual([true, true]);
    expect(origin.owns("")).toBe(false);
    watched.client.destroy();
  });

  test("without an origin no event says whose it is", async () => {
    const hub = await startHub();
    const watched = connect({ baseUrl: hub.url, sessionId: "s", clock: undefined });
    await watched.until("open");
    await publish({ baseUrl: hub.url, sessionId: "s" }, { data: 1 });
    await watched.receive(1);
    expect(watched.events[0]).not.toHaveProperty("own");
    watched.client.destroy();
  });
});

describe("an origin", () => {
  test("tells in the end, also where a publish never does, and then nothing of it is left", async () => {
    const clock = new FakeClock();
    const origin = new Origin(clock);
    const end = origin.begin();
    const own = origin.owns("a");
    clock.advance(ORIGIN_WAIT);
    expect(await own).toBe(false);
    expect(clock.pending).toBe(0);
    end(["a"]);
    expect(origin.owns("a")).toBe(true);
  });

  test("waits for those publishes only that were under way when the event came", async () => {
    const origin = new Origin(new FakeClock());
    const first = origin.begin();
    const own = origin.owns("x");
    const second = origin.begin();
    first(["y"]);
    expect(await own).toBe(false);
    second([]);
  });

  test("a publish that fails leaves nothing behind", async () => {
    const origin = new Origin(new FakeClock());
    const failing = publish({ sessionId: "s", baseUrl: "http://hub", origin, maxRetries: 0, fetch: () => Promise.reject(new Error()) }, { data: 1 });
    const own = origin.owns("x");
    await expect(failing).rejects.toThrow("gave up");
    expect(await own).toBe(false);
    expect(origin.owns("x")).toBe(false);
  });

  test("remembers a bounded number of ids, and waits for a bounded number of events", async () => {
    const clock = new FakeClock();
    const origin = new Origin(clock);
    origin.begin()(Array.from({ length: 10_001 }, (_, number) => `${number}`));
    expect([origin.owns("0"), origin.owns("1"), origin.owns("10000")]).toEqual([false, true, true]);
    const end = origin.begin();
    const owned = Array.from({ length: 1_001 }, (_, number) => origin.owns(`new ${number}`));
    expect(await owned[0]).toBe(false);
    expect(clock.pending).toBe(1_000);
    end([]);
    expect(await Promise.all(owned)).toEqual(owned.map(() => false));
  });
});
