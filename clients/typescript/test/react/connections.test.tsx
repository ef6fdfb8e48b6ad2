import { startTransition, Suspense, useLayoutEffect, useState, type ReactNode } from "react";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/index.ts";
import { registry } from "../../src/store/connection.ts";
import { SSEProvider, useSSE } from "../../src/react/index.ts";
import { settle, takeLedger } from "../../src/testing/index.ts";
import { data, mock, mount, mountStrict, seen, Status, Watch } from "./kit.tsx";

describe("one counted connection per stream", () => {
  it("StrictMode opens one, and unmounting closes it", async () => {
    const sse = mock();
    const into = seen();
    const { unmount } = await mountStrict(<Watch {...sse.options} into={into} />);
    await sse.emit("n", 1);
    expect([sse.requests, sse.connections, into.sse.isConnected, data(into)]).toEqual([1, 1, true, [1]]);
    unmount();
    await settle(1);
    expect([sse.connections, sse.clock.pending, sse.page.listeners, registry.size]).toEqual([0, 0, 0, 0]);
  });

  it("three components share one, and each gets every event", async () => {
    const sse = mock();
    const all = [seen(), seen(), seen()];
    const { text, unmount } = await mountStrict(all.map((into, at) => <Watch key={at} {...sse.options} into={into} />));
    await sse.emit("n", 1);
    expect([sse.requests, text, all.map(data)]).toEqual([1, "openopenopen", [[1], [1], [1]]]);
    unmount();
  });

  it("when one of two leaves, the other stays", async () => {
    const sse = mock();
    const [a, b] = [seen(), seen()];
    const two = await mount([<Watch key="a" {...sse.options} into={a} />, <Watch key="b" {...sse.options} into={b} />]);
    await two.render([<Watch key="b" {...sse.options} into={b} />]);
    await sse.emit("n", 1);
    expect([sse.requests, data(a), data(b)]).toEqual([1, [], [1]]);
  });

  it("keeps nothing of those who leave while others stay", async () => {
    const sse = mock();
    const kept = <Status key="kept" {...sse.options} />;
    const { render } = await mount([kept]);
    const before = takeLedger();
    for (const key of [1, 2, 3]) {
      await render([kept, <Watch key={key} {...sse.options} into={seen()} />]);
      await render([kept]);
    }
    expect([takeLedger(), sse.requests]).toEqual([before, 1]);
  });

  it("is never opened by rendering alone", async () => {
    const sse = mock();
    const never = new Promise<never>(() => {});
    function Suspends(): ReactNode {
      throw never;
    }
    const { unmount } = await mountStrict(
      <SSEProvider {...sse.options}>
        <Suspense fallback="wait">
          <Status />
          <Suspends />
        </Suspense>
      </SSEProvider>,
    );
    expect([sse.requests, registry.size]).toEqual([0, 0]);
    unmount();
  });

  it("survives 1,000 mounts and unmounts, and closes each time", async () => {
    const sse = mock();
    const { render } = await mount(null);
    for (let round = 0; round < 1_000; round++) {
      await render(round % 2 ? null : <Watch {...sse.options} into={seen()} />);
      if (round % 2) expect([sse.connections, sse.clock.pending, registry.size]).toEqual([0, 0, 0]);
      else expect(sse.connections).toBe(1);
    }
    expect(sse.requests).toBe(500);
  });

  it("is kept when a component is replaced in one commit, as hot reloading does", async () => {
    const sse = mock();
    const into = seen();
    const { render } = await mountStrict(<Watch key="0" {...sse.options} into={into} />);
    for (const key of ["1", "2", "3"]) {
      await render(<Watch key={key} {...sse.options} into={into} />);
      await sse.emit("n", key);
    }
    expect([sse.requests, data(into)]).toEqual([1, ["1", "2", "3"]]);
  });
});

describe("the key", () => {
  it("changes: the old stream is closed, the new one opened, the handlers go with it", async () => {
    const sse = mock();
    const into = seen();
    const { render } = await mountStrict(<Watch {...sse.options} sessionId="a" into={into} />);
    await sse.emit("n", 1, "a");
    await render(<Watch {...sse.options} sessionId="b" into={into} />);
    expect([sse.requests, sse.connections, registry.size]).toEqual([2, 1, 1]);
    sse.hub.publish("a", "n", 2);
    await sse.emit("n", 3, "b");
    expect(data(into)).toEqual([1, 3]);
  });

  it("never shows the status of the stream before", async () => {
    const sse = mock();
    const states: string[] = [];
    function Show({ sessionId }: { sessionId: string }): ReactNode {
      states.push(`${sessionId}:${useSSE({ ...sse.options, sessionId }).connectionState}`);
      return null;
    }
    const { render } = await mount(<Show sessionId="a" />);
    await sse.fail(403);
    await render(<Show sessionId="b" />);
    expect(states).toEqual(["a:idle", "a:connecting", "a:open", "a:reconnecting", "a:error", "b:idle", "b:connecting", "b:open"]);
  });

  it("changes: between the commit and the effects, the old connection is not led astray", async () => {
    const sse = mock();
    const [moving, staying] = [seen(), seen()];
    const timers = new Set<() => void>();
    const clock: Clock = {
      now: () => 0,
      setTimeout: (callback) => (timers.add(callback), callback),
      clearTimeout: (callback) => timers.delete(callback as () => void),
    };
    let setSession: (sessionId: string) => void = () => {};
    function Both(): ReactNode {
      const [sessionId, set] = useState("a");
      setSession = set;
      // After the commit, and before any `useEffect`, the time for the next attempt has come.
      useLayoutEffect(() => {
        if (sessionId === "b") for (const timer of timers) timers.delete(timer) && timer();
      }, [sessionId]);
      return (
        <>
          <Watch {...sse.options} clock={clock} sessionId={sessionId} into={moving} />
          <Watch {...sse.options} clock={clock} sessionId="a" into={staying} />
        </>
      );
    }
    const { unmount } = await mount(<Both />);
    await sse.drop();
    expect(timers.size).toBe(1);
    // A transition: its effects run in a task of their own.
    startTransition(() => setSession("b"));
    await settle(10);
    expect(sse.hub.requests.map(({ sessionId }) => sessionId).sort()).toEqual(["a", "a", "b"]);
    sse.hub.publish("a", "n", "a");
    sse.hub.publish("b", "n", "b");
    await settle();
    expect([data(moving), data(staying)]).toEqual([["b"], ["a"]]);
    unmount();
    await settle();
    expect(timers.size).toBe(0);
  });

  it("swapped between two components in one commit reconnects nobody", async () => {
    const sse = mock();
    const [one, two] = [seen(), seen()];
    const both = (a: string, b: string): ReactNode => [
      <Watch key={1} {...sse.options} sessionId={a} into={one} />,
      <Watch key={2} {...sse.options} sessionId={b} into={two} />,
    ];
    const { render } = await mount(both("a", "b"));
    await render(both("b", "a"));
    await sse.emit("n", "a", "a");
    await sse.emit("n", "b", "b");
    expect([sse.requests, data(one), data(two)]).toEqual([2, ["b"], ["a"]]);
  });

  it("sets streams apart that would share a connection", async () => {
    const sse = mock();
    await mount(<Status {...sse.options} />);
    function Keyed(): ReactNode {
      useSSE({ ...sse.options, key: "mine" });
      return null;
    }
    await mount(<Keyed />);
    expect([sse.requests, registry.size]).toEqual([2, 2]);
  });

  it("is needed: without a stream, rendering throws, unless it is not enabled", async () => {
    const thrown: unknown[] = [];
    const failed = (options: object): void => {
      function Test(): ReactNode {
        try {
          useSSE(options);
        } catch (error) {
          thrown.push(error);
        }
        return null;
      }
      void mount(<Test />);
    };
    failed({ enabled: false });
    expect(thrown).toEqual([]);
    failed({});
    failed({ url: () => "/x" });
    expect(thrown.every((error) => error instanceof TypeError && /needs a sessionId or a url/.test(error.message))).toBe(true);
    expect(thrown.length).toBeGreaterThanOrEqual(2);
    await settle();
  });
});
