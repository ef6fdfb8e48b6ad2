import { useEffect, useState, type ReactNode } from "react";
import { flushSync } from "react-dom";
import { describe, expect, it, vi } from "vitest";
import type { SSEEvent } from "../../src/index.ts";
import { useSSE, useSSEEvent, type UseSSEReturn } from "../../src/react/index.ts";
import { settle, takeLedger } from "../../src/testing/index.ts";
import { data, mock, mount, mountStrict, seen, Watch } from "./kit.tsx";

describe("events", () => {
  it("30 in one chunk reach the handler 30 times, in order, and render nothing", async () => {
    const sse = mock();
    const into = seen();
    await mountStrict(<Watch {...sse.options} into={into} />);
    await sse.drop();
    const numbers = Array.from({ length: 30 }, (_, n) => n);
    for (const n of numbers) sse.hub.publish("test", "n", n);
    await sse.reconnect();
    const { renders } = into;
    expect(data(into)).toEqual(numbers);
    for (let n = 0; n < 100; n++) await sse.emit("n", n);
    expect([into.events.length, into.renders]).toEqual([130, renders]);
  });

  it("reach the handler of their own type, and * gets all", async () => {
    const sse = mock();
    const [update, all, message] = [seen(), seen(), seen()];
    await mount([
      <Watch key="1" {...sse.options} type="update" into={update} />,
      <Watch key="2" {...sse.options} type="*" into={all} />,
      <Watch key="3" {...sse.options} type="message" into={message} />,
    ]);
    await sse.emit("update", { n: 1 });
    await sse.emit("message", "text");
    await sse.emit("other");
    expect([data(update), data(message)]).toEqual([[{ n: 1 }], ["text"]]);
    expect(all.events.map(({ type }) => type)).toEqual(["update", "message", "other"]);
  });

  it("meet the latest closure, though nothing is memoised and nothing subscribes anew", async () => {
    const sse = mock();
    const heard: string[] = [];
    function Counter({ n }: { n: number }): ReactNode {
      const { addEventListener } = useSSEEvent("n", (data) => heard.push(`${n}:${data}`), { ...sse.options });
      useEffect(() => void heard.push("effect"), [addEventListener]);
      return null;
    }
    const { render } = await mount(<Counter n={1} />);
    await sse.emit("n", "a");
    for (const n of [2, 3]) {
      await render(<Counter n={n} />);
      await sse.emit("n", "a");
    }
    expect(heard).toEqual(["effect", "1:a", "2:a", "3:a"]);
    expect(sse.requests).toBe(1);
  });

  it("follow a type that changes", async () => {
    const sse = mock();
    const into = seen();
    const { render } = await mountStrict(<Watch {...sse.options} type="a" into={into} />);
    await sse.emit("a", 1);
    await render(<Watch {...sse.options} type="b" into={into} />);
    await sse.emit("a", 2);
    await sse.emit("b", 3);
    expect(data(into)).toEqual([1, 3]);
  });

  it("stop at once when a handler unmounts its component", async () => {
    const sse = mock();
    const heard: number[] = [];
    let unmount = (): void => {};
    function Fragile(): ReactNode {
      useSSEEvent<number>("n", (n) => {
        heard.push(n);
        unmount();
      }, { ...sse.options, replay: "all" });
      return null;
    }
    for (const n of [1, 2, 3]) sse.hub.publish("test", "n", n);
    sse.hub.hold();
    ({ unmount } = await mountStrict(<Fragile />));
    sse.hub.release();
    await settle();
    expect([heard, sse.connections]).toEqual([[1], 0]);
  });

  it("set state like any event, and what a handler throws disturbs nobody", async () => {
    const sse = mock();
    const into = seen();
    const report = vi.spyOn(globalThis, "reportError").mockImplementation(() => {});
    function Throws(): ReactNode {
      const [n, setN] = useState(0);
      useSSEEvent("n", (next) => {
        flushSync(() => setN(next));
        throw new Error("mine");
      }, sse.options);
      return <u>{n}</u>;
    }
    const { container } = await mount([<Throws key="1" />, <Watch key="2" {...sse.options} into={into} />]);
    await sse.emit("n", 1);
    await sse.emit("n", 2);
    expect([container.querySelector("u")?.textContent, data(into), sse.requests]).toEqual(["2", [1, 2], 1]);
    expect(report).toHaveBeenCalledTimes(2);
  });
});

describe("addEventListener", () => {
  it("works before there is a connection, in effects of children, which run before their parent's", async () => {
    const sse = mock();
    const heard: unknown[] = [];
    function Child({ addEventListener }: UseSSEReturn): ReactNode {
      useEffect(() => addEventListener("n", (event) => heard.push(event.data)), [addEventListener]);
      return null;
    }
    function Parent({ sessionId }: { sessionId: string }): ReactNode {
      return <Child {...useSSE({ ...sse.options, sessionId })} />;
    }
    const { render } = await mountStrict(<Parent sessionId="a" />);
    await sse.emit("n", 1);
    await render(<Parent sessionId="b" />);
    await sse.emit("n", 2, "b");
    expect(heard).toEqual([1, 2]);
  });

  it("twice with the same function is two registrations, each with its own way out", async () => {
    const sse = mock();
    const into = seen();
    await mount(<Watch {...sse.options} into={into} />);
    const heard: SSEEvent[] = [];
    const handler = (event: SSEEvent): void => void heard.push(event);
    const [one, two] = [into.sse.addEventListener("x", handler), into.sse.addEventListener("x", handler)];
    await sse.emit("x", 1);
    one();
    one();
    await sse.emit("x", 2);
    two();
    await sse.emit("x", 3);
    expect(heard.map((event) => event.data)).toEqual([1, 1, 2]);
  });

  it("gives a way out that still leads out when the stream has changed or reconnected, and leaves no handler", async () => {
    const sse = mock();
    const into = seen();
    const { render } = await mount(<Watch {...sse.options} sessionId="a" into={into} />);
    const before = takeLedger();
    const heard: unknown[] = [];
    const off = into.sse.addEventListener("x", (event) => heard.push(event.data));
    await sse.drop();
    await sse.reconnect();
    await sse.emit("x", 1, "a");
    await render(<Watch {...sse.options} sessionId="b" into={into} />);
    await sse.emit("x", 2, "b");
    expect(heard).toEqual([1, 2]);
    off();
    await sse.emit("x", 3, "b");
    expect([heard, takeLedger()]).toEqual([[1, 2], before]);
  });

  it("is the same function for a component's life, and the whole is the same object until the status changes", async () => {
    const sse = mock();
    const { options } = sse;
    const all: UseSSEReturn[] = [];
    function Collect(): ReactNode {
      const sse = useSSE({ ...options });
      all.push(sse);
      return sse.connectionState;
    }
    const { render } = await mount(<Collect />);
    const open = all.at(-1);
    await render(<Collect />);
    expect(all.at(-1)).toBe(open);
    await sse.drop();
    expect(all.at(-1)).not.toBe(open);
    expect(new Set(all.map(({ addEventListener }) => addEventListener)).size).toBe(1);
  });
});
