import { useEffect, useLayoutEffect, type ReactNode } from "react";
import { describe, expect, it, vi } from "vitest";
import { registry } from "../../src/store/connection.ts";
import { useSSE } from "../../src/react/index.ts";
import { settle } from "../../src/testing/index.ts";
import { data, mock, mount, mountStrict, seen, Status, Watch } from "./kit.tsx";

describe("enabled, connect and disconnect", () => {
  it("connects when it becomes enabled, and leaves when it no longer is", async () => {
    const sse = mock();
    const { render, container } = await mountStrict(<Status {...sse.options} enabled={false} />);
    expect([sse.requests, container.textContent]).toEqual([0, "idle/false/-"]);
    await render(<Status {...sse.options} />);
    expect([sse.requests, container.textContent]).toEqual([1, "open/true/-"]);
    await render(<Status {...sse.options} enabled={false} />);
    expect([sse.connections, container.textContent]).toEqual([0, "idle/false/-"]);
  });

  it("connect works without enabled, also from an effect of a child", async () => {
    const sse = mock();
    function Child({ connect }: { connect: () => void }): ReactNode {
      useEffect(connect, [connect]);
      return null;
    }
    function Parent(): ReactNode {
      const { connect, connectionState } = useSSE({ ...sse.options, enabled: false });
      return (
        <>
          {connectionState}
          <Child connect={connect} />
        </>
      );
    }
    // Effects of children run first: the wish is older than the component's own connection.
    const { container } = await mountStrict(<Parent />);
    expect([sse.requests, container.textContent]).toEqual([1, "open"]);
  });

  it("disconnect ends one component's interest only; connect brings it back with what it missed", async () => {
    const sse = mock();
    const [a, b] = [seen(), seen()];
    await mount([<Watch key="a" {...sse.options} into={a} />, <Watch key="b" {...sse.options} into={b} />]);
    await sse.emit("n", 1);
    a.sse.disconnect();
    await settle();
    expect([a.sse.connectionState, b.sse.connectionState, sse.connections]).toEqual(["closed", "open", 1]);
    b.sse.disconnect();
    await settle();
    expect(sse.connections).toBe(0);
    sse.hub.publish("test", "n", 2);
    a.sse.connect();
    await settle();
    expect([a.sse.connectionState, b.sse.connectionState, data(a), data(b)]).toEqual(["open", "closed", [1, 2], [1]]);
  });

  it("who comes back to a connection that went on catches up over one of its own, and then shares again", async () => {
    const sse = mock();
    const [a, b] = [seen(), seen()];
    await mount([<Watch key="a" {...sse.options} into={a} />, <Watch key="b" {...sse.options} into={b} />]);
    await sse.emit("n", 1);
    a.sse.disconnect();
    await settle();
    for (const n of [2, 3]) sse.hub.publish("test", "n", n);
    await settle();
    a.sse.connect();
    await settle();
    expect([data(a), data(b)]).toEqual([[1, 2, 3], [1, 2, 3]]);
    // Caught up: the second connection is gone, and the first was not disturbed.
    expect([sse.requests, sse.connections, [...registry.values()].map(({ size }) => size)]).toEqual([2, 1, [1]]);
    await sse.emit("n", 4);
    expect([data(a), data(b)]).toEqual([[1, 2, 3, 4], [1, 2, 3, 4]]);
    expect(a.sse.isConnected).toBe(true);
  });

  it("lastEventId is where each component begins, whatever the others are at", async () => {
    const sse = mock();
    const ids = [1, 2, 3].map((n) => sse.hub.publish("test", "n", n));
    const [a, b] = [seen(), seen()];
    const first = <Watch key="a" {...sse.options} replay="all" into={a} />;
    const { render } = await mount([first]);
    vi.spyOn(console, "warn").mockImplementation(() => {});
    await render([first, <Watch key="b" {...sse.options} replay="all" lastEventId={ids[0]} into={b} />]);
    expect([data(a), data(b), sse.connections]).toEqual([[1, 2, 3], [2, 3], 1]);
  });

  it("connect between a commit and its effects waits for them", async () => {
    const sse = mock();
    const into = seen();
    function Eager({ sessionId }: { sessionId: string }): ReactNode {
      useLayoutEffect(() => {
        if (sessionId === "b") into.sse.connect();
      }, [sessionId]);
      return <Watch {...sse.options} sessionId={sessionId} enabled={false} into={into} />;
    }
    const { render } = await mount(<Eager sessionId="a" />);
    await render(<Eager sessionId="b" />);
    expect(sse.hub.requests.map(({ sessionId }) => sessionId)).toEqual(["b"]);
    expect(into.sse.isConnected).toBe(true);
  });

  it("who changes over gets the event at which it does, whatever type it listens to", async () => {
    const sse = mock();
    const [a, b] = [seen(), seen()];
    await mount([<Watch key="a" {...sse.options} type="*" into={a} />, <Watch key="b" {...sse.options} into={b} />]);
    for (const n of [0, 2, 4]) {
      await sse.emit("n", n);
      a.sse.disconnect();
      await sse.emit("n", n + 1);
      a.sse.connect();
      await settle();
    }
    expect([data(a), data(b), sse.connections]).toEqual([[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], 1]);
  });

  it("when the others leave while it catches up, it goes on alone", async () => {
    const sse = mock();
    const [a, b] = [seen(), seen()];
    const one = <Watch key="a" {...sse.options} into={a} />;
    const { render } = await mount([one, <Watch key="b" {...sse.options} into={b} />]);
    await sse.emit("n", 1);
    a.sse.disconnect();
    await sse.emit("n", 2);
    sse.hub.hold();
    a.sse.connect();
    await settle();
    expect(sse.connections).toBe(2);
    await render([one]);
    expect([sse.connections, [...registry.values()].map(({ size }) => size)]).toEqual([1, [1]]);
    sse.hub.release();
    await sse.emit("n", 3);
    expect([data(a), data(b), sse.requests]).toEqual([[1, 2, 3], [1, 2], 2]);
  });

  it("several who come back at once catch up over one connection", async () => {
    const sse = mock();
    const all = [seen(), seen(), seen()];
    await mount(all.map((into, at) => <Watch key={at} {...sse.options} into={into} />));
    await sse.emit("n", 1);
    all[1]?.sse.disconnect();
    all[2]?.sse.disconnect();
    await sse.emit("n", 2);
    all[1]?.sse.connect();
    all[2]?.sse.connect();
    await settle();
    await sse.emit("n", 3);
    expect([sse.requests, sse.connections, ...all.map(data)]).toEqual([2, 1, [1, 2, 3], [1, 2, 3], [1, 2, 3]]);
  });

  it("a connect() after unmounting opens nothing", async () => {
    const sse = mock();
    const into = seen();
    const { unmount } = await mount(<Watch {...sse.options} into={into} />);
    unmount();
    into.sse.connect();
    into.sse.reconnect();
    into.sse.addEventListener("n", () => {});
    await settle();
    expect([sse.connections, registry.size]).toEqual([0, 0]);
  });

  it("reconnect replaces the connection from the same place", async () => {
    const sse = mock();
    const into = seen();
    await mount(<Watch {...sse.options} into={into} />);
    await sse.emit("n", 1);
    const at = into.events[0]?.id;
    into.sse.reconnect();
    await settle();
    await sse.emit("n", 2);
    expect([sse.requests, sse.connections, data(into)]).toEqual([2, 1, [1, 2]]);
    expect(sse.hub.requests[1]?.lastEventId).toBe(at);
  });

  it("a signal that is aborted disconnects its own component", async () => {
    const sse = mock();
    const abort = new AbortController();
    const [a, b] = [seen(), seen()];
    await mount([
      <Watch key="a" {...sse.options} signal={abort.signal} into={a} />,
      <Watch key="b" {...sse.options} into={b} />,
      <Watch key="c" {...sse.options} sessionId="other" signal={AbortSignal.abort()} into={seen()} />,
    ]);
    abort.abort();
    await sse.emit("n", 1);
    expect([a.sse.connectionState, data(a), data(b), sse.requests]).toEqual(["closed", [], [1], 1]);
  });

  it("unmounting waits for nothing: in the middle of every phase it leaves nothing", async () => {
    const phases: ((sse: ReturnType<typeof mock>) => unknown)[] = [
      (sse) => sse.hub.hold(),
      (sse) => sse.hub.buffer(),
      (sse) => sse.hub.refuse(9, 502),
      (sse) => sse.hub.refuse(9, 403),
      (sse) => sse.hub.refuse(9, new TypeError("no route")),
      (sse) => sse.hub.chunk(1),
    ];
    for (const phase of phases) {
      for (const wait of [0, 1, 6]) {
        const sse = mock();
        phase(sse);
        const { unmount } = await mountStrict(<Watch {...sse.options} into={seen()} />);
        await settle(wait);
        unmount();
        await sse.expectNoLeaks();
      }
    }
  });
});
