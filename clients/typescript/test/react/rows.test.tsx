import { startTransition, useLayoutEffect, useState, type ReactNode } from "react";
import { describe, expect, it, vi } from "vitest";
import { SSEClient, type SSEEvent } from "../../src/index.ts";
import { SSEProvider, useSSEEvent } from "../../src/react/index.ts";
import { registry } from "../../src/store/connection.ts";
import { expectNoLeaks, settle, type MockSSE } from "../../src/testing/index.ts";
import { data, mock, mount, seen, Status, Watch } from "./kit.tsx";

// What must hold under bad luck. The numbers are those of the list of such promises.

/** Runs `now` in each commit that changes `on`: after insertion effects, before any `useEffect`. */
function BetweenCommitAndEffects({ on, now }: { on: unknown; now: () => void }): null {
  const [first] = useState(on);
  useLayoutEffect(() => {
    if (on !== first) now();
  });
  return null;
}

describe("row 2", () => {
  it("an event between a commit and its effects comes to no handler of another stream", async () => {
    const sse = mock();
    const deliver = recordHandlers();
    const got: string[] = [];
    let setSession: (sessionId: string) => void = () => {};
    function Page(): ReactNode {
      const [sessionId, set] = useState("a");
      setSession = set;
      useSSEEvent("n", (value) => got.push(`${sessionId} got ${value}`), { ...sse.options, sessionId });
      return <BetweenCommitAndEffects on={sessionId} now={() => deliver("a", "n", "a2")} />;
    }
    await mount(<Page />);
    deliver("a", "n", "a1");
    startTransition(() => setSession("b"));
    await settle(10);
    deliver("a", "n", "a3");
    deliver("b", "n", "b1");
    expect(got).toEqual(["a got a1", "b got b1"]);
  });

  it("the same for a type that changes: each event comes to the handler of its type, or to none, and none is lost", async () => {
    const sse = mock();
    const deliver = recordHandlers();
    const got: string[] = [];
    let setType: (type: string) => void = () => {};
    const between = (): void => {
      deliver("test", "one", "1b");
      deliver("test", "two", "2a");
    };
    function Page(): ReactNode {
      const [type, set] = useState("one");
      setType = set;
      useSSEEvent(type, (value) => got.push(`${type} got ${value}`), sse.options);
      return <BetweenCommitAndEffects on={type} now={between} />;
    }
    await mount(<Page />);
    await settle();
    deliver("test", "one", "1a");
    startTransition(() => setType("two"));
    await settle(10);
    deliver("test", "two", "2b");
    expect(got).toEqual(["one got 1a", "two got 2a", "two got 2b"]);
  });
});

describe("row 3", () => {
  it("parsers are each component's own, whoever mounts first", async () => {
    const sse = mock();
    const [plain, first, second] = [seen(), seen(), seen()];
    await mount([
      <Watch key={1} {...sse.options} into={plain} />,
      <Watch key={2} {...sse.options} parsers={{ n: (text) => `first ${text}` }} into={first} />,
      <Watch key={3} {...sse.options} parsers={{ n: { parse: (value) => [value] } }} into={second} />,
    ]);
    await sse.emit("n", 1);
    expect([sse.requests, data(plain), data(first), data(second)]).toEqual([1, [1], ["first 1"], [[1]]]);
  });

  it("a parser that refuses an event is told as such, and disturbs nobody else", async () => {
    const sse = mock();
    const [plain, strict] = [seen(), seen()];
    const kinds: string[] = [];
    const refuse = (): never => {
      throw new Error("no");
    };
    await mount([
      <Watch key={1} {...sse.options} parsers={{ n: refuse }} onError={({ kind }) => kinds.push(kind)} into={strict} />,
      <Watch key={2} {...sse.options} onError={() => {}} into={plain} />,
    ]);
    await sse.emit("n", 1);
    expect([data(plain), data(strict), kinds]).toEqual([[1], [], ["parse"]]);
  });

  it("maxRetries, retryDelay, pollingInterval and enablePollingFallback count as they are at each attempt", async () => {
    const sse = mock();
    const tree = (options: object): ReactNode => <Status {...sse.options} random={() => 1} {...options} />;
    const { render, container } = await mount(tree({ maxRetries: 100, retryDelay: 1_000 }));
    sse.hub.refuse(1, new TypeError("down"));
    await sse.drop();
    expect(sse.clock.next).toBe(2_000);
    await render(tree({ maxRetries: 1, enablePollingFallback: false }));
    await sse.clock.advance(2_000);
    expect(container.textContent).toBe("error/false/exhausted");
  });

  it("a warning in development where two components come to disagree", async () => {
    const sse = mock();
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const tree = (maxRetries: number): ReactNode => [
      <Status key={1} {...sse.options} maxRetries={1} />,
      <Status key={2} {...sse.options} maxRetries={maxRetries} />,
    ];
    const { render } = await mount(tree(1));
    expect(warn).not.toHaveBeenCalled();
    await render(tree(2));
    expect(warn.mock.calls[0]?.[0]).toMatch(/differ in maxRetries/);
  });
});

describe("row 8", () => {
  const requests = (sse: MockSSE): (string | null)[] => sse.hub.requests.map(({ headers }) => headers.get("authorization"));

  it("different bodies are different streams", async () => {
    const sse = mock();
    await mount([
      <Status key={1} {...sse.options} method="POST" body="one" />,
      <Status key={2} {...sse.options} method="POST" body="two" />,
      <Status key={3} {...sse.options} method="POST" body="two" />,
    ]);
    expect(sse.requests).toBe(2);
  });

  it("different tokens are different users, and nobody gets the other's stream", async () => {
    const sse = mock();
    await mount([
      <Status key={1} {...sse.options} token="ann" />,
      <Status key={2} {...sse.options} token="bob" />,
      <Status key={3} {...sse.options} token="ann" />,
    ]);
    expect(requests(sse)).toEqual(["Bearer ann", "Bearer bob"]);
  });

  it("a token that is replaced reconnects nobody", async () => {
    const sse = mock();
    const tree = (token: string): ReactNode => [<Status key={1} {...sse.options} token={token} />, <Status key={2} {...sse.options} token={token} />];
    const { render } = await mount(tree("old"));
    await render(tree("new"));
    expect(sse.requests).toBe(1);
  });

  it("another user signs in: another identity is another stream, also where the token is a function", async () => {
    const sse = mock();
    let token = "ann";
    const tree = (identity: string): ReactNode => (
      <SSEProvider {...sse.options} token={() => token} identity={identity}>
        <Status />
      </SSEProvider>
    );
    const { render } = await mount(tree("ann"));
    token = "bob";
    await render(tree("bob"));
    expect(requests(sse)).toEqual(["Bearer ann", "Bearer bob"]);
    expect(sse.connections).toBe(1);
  });
});

describe("row 9", () => {
  it("a string token that comes after a 401 begins anew", async () => {
    const sse = mock();
    sse.hub.refuse(1, 401);
    const tree = (token: string): ReactNode => <Status {...sse.options} token={token} />;
    const { render, container } = await mount(tree("old"));
    expect(container.textContent).toBe("error/false/auth");
    await render(tree("old"));
    expect(sse.requests).toBe(1);
    await render(tree("new"));
    expect([sse.requests, container.textContent]).toEqual([2, "open/true/-"]);
  });

  it("so does one that comes after a token was revoked", async () => {
    const sse = mock();
    const tree = (token: string): ReactNode => <Status {...sse.options} token={token} />;
    const { render, container } = await mount(tree("old"));
    await sse.closingEvent("TOKEN_REVOKED");
    expect(container.textContent).toBe("error/false/auth");
    await render(tree("old"));
    expect(sse.requests).toBe(1);
    await render(tree("new"));
    expect([sse.requests, container.textContent]).toEqual([2, "open/true/-"]);
  });

  it("a token function is asked for a fresh one when a token has expired, once for all who share the stream", async () => {
    const sse = mock();
    const asked: boolean[] = [];
    const token = ({ refresh }: { refresh: boolean }): string => `t${asked.push(refresh)}`;
    const tree = (
      <SSEProvider {...sse.options} token={token}>
        <Status />
        <Status />
      </SSEProvider>
    );
    const { container } = await mount(tree);
    await sse.closingEvent("TOKEN_EXPIRED");
    await sse.reconnect();
    expect(asked).toEqual([false, true]);
    expect(container.textContent).toBe("open/true/-open/true/-");
  });
});

describe("row 16", () => {
  it("disconnect before connecting is told", async () => {
    const sse = mock();
    const into = seen();
    const { container } = await mount(<Watch {...sse.options} enabled={false} into={into} />);
    expect(container.textContent).toBe("idle");
    into.sse.disconnect();
    await settle();
    expect([container.textContent, into.sse.closeReason]).toEqual(["closed", "disconnected"]);
  });

  it("a provider that renders again with new functions and objects renders nobody below it", async () => {
    const sse = mock();
    const into = seen();
    let asked = 0;
    const child = <Watch into={into} />;
    const tree = (n: number): ReactNode => (
      <SSEProvider {...sse.options} headers={{ "x-same": "1" }} token={() => (asked++, `t${n}`)} onError={() => {}}>
        {child}
      </SSEProvider>
    );
    const { render } = await mount(tree(0));
    const renders = into.renders;
    for (let n = 1; n <= 10; n++) await render(tree(n));
    expect(into.renders).toBe(renders);
    await sse.drop();
    await sse.reconnect();
    // And its functions are the latest ones.
    expect(sse.hub.requests.at(-1)?.headers.get("authorization")).toBe("Bearer t10");
  });

  it("an option that is no function and changes is taken over", async () => {
    const sse = mock();
    const child = <Status />;
    const tree = (sessionId: string): ReactNode => (
      <SSEProvider {...sse.options} sessionId={sessionId}>
        {child}
      </SSEProvider>
    );
    const { render } = await mount(tree("a"));
    await render(tree("b"));
    expect(sse.hub.requests.map(({ sessionId }) => sessionId)).toEqual(["a", "b"]);
  });

  it("2,000 hooks that do not read the status are rendered by none, and each is asked twice at most", async () => {
    const sse = mock();
    let renders = 0;
    function Row(): ReactNode {
      renders++;
      useSSEEvent("n", () => {}, sse.options);
      return null;
    }
    await mount(Array.from({ length: 2_000 }, (_, number) => <Row key={number} />));
    const before = renders;
    const [connection] = [...registry.values()].flatMap((peers) => [...peers]);
    // A status change, and everything it sets off at once, in milliseconds.
    const change = async (): Promise<number> => {
      const began = performance.now();
      connection?.client.disconnect();
      const took = performance.now() - began;
      connection?.client.connect();
      await settle(5);
      return took;
    };
    const times: number[] = [];
    for (let turn = 0; turn < 5; turn++) times.push(await change());
    console.log(`2,000 hooks take a status in ${Math.min(...times).toFixed(1)} ms`);
    const asked = vi.spyOn(SSEClient.prototype, "status", "get");
    connection?.client.disconnect();
    const questions = asked.mock.calls.length;
    asked.mockRestore();
    expect(renders).toBe(before);
    // A count, for a time is also the machine's: what would take longer asks more often.
    expect(questions).toBeGreaterThanOrEqual(2_000);
    expect(questions).toBeLessThanOrEqual(2 * 2_000 + 10);
  });
});

describe("row 17", () => {
  it("unmounted in one commit, mounted in the next: one connection, and the event between is not lost", async () => {
    const sse = mock();
    const [before, after, beside] = [seen(), seen(), seen()];
    const options = { ...sse.options, linger: undefined };
    const { render } = await mount(<Watch key="a" {...options} into={before} />);
    await sse.emit("n", 1);
    await render(null);
    sse.hub.publish("test", "n", 2);
    await settle();
    await render([<Watch key="b" {...options} into={after} />, <Watch key="c" {...options} into={beside} />]);
    await sse.emit("n", 3);
    expect([sse.requests, data(before), data(after), data(beside)]).toEqual([1, [1], [2, 3], [2, 3]]);
  });

  it("the connection is closed when nobody comes within a second, or at once if a test says so", async () => {
    const sse = mock();
    const { render } = await mount(<Watch {...sse.options} linger={1_000} into={seen()} />);
    await render(null);
    await sse.clock.advance(999);
    expect(sse.connections).toBe(1);
    await sse.clock.advance(1);
    expect([sse.connections, registry.size]).toEqual([0, 0]);
    await render(<Watch {...sse.options} linger={1_000} into={seen()} />);
    await render(null);
    expect(sse.connections).toBe(1);
    await expectNoLeaks();
    expect([sse.connections, registry.size]).toEqual([0, 0]);
  });

  it("more than can be kept is asked for again, from the same place", async () => {
    const sse = mock({ history: 2_000 });
    const [before, after] = [seen(), seen()];
    const { render } = await mount(<Watch key="a" {...sse.options} linger={60_000} into={before} />);
    await sse.emit("n", 0);
    await render(null);
    for (let n = 1; n <= 1_500; n++) sse.hub.publish("test", "n", n);
    await settle();
    expect(sse.connections).toBe(0);
    await render(<Watch key="b" {...sse.options} linger={60_000} into={after} />);
    await settle(10);
    expect(data(after)).toEqual(Array.from({ length: 1_500 }, (_, n) => n + 1));
  });

  it("a disconnect lingers nowhere", async () => {
    const sse = mock();
    const into = seen();
    await mount(<Watch {...sse.options} linger={60_000} into={into} />);
    into.sse.disconnect();
    await settle();
    expect([sse.connections, sse.clock.pending]).toEqual([0, 0]);
  });
});

describe("row 22", () => {
  it("failures are 0 again once something came, and the component shows it", async () => {
    const sse = mock();
    const into = seen();
    await mount(<Watch {...sse.options} into={into} />);
    await sse.drop();
    expect(into.sse.failures).toBe(1);
    await sse.reconnect();
    for (let n = 0; n < 5; n++) await sse.emit("n", n);
    expect(into.sse.failures).toBe(0);
  });

  it("a session that ends normally is a state, not an error", async () => {
    const sse = mock();
    const into = seen();
    const errors: string[] = [];
    const { container } = await mount(<Watch {...sse.options} onError={({ kind }) => errors.push(kind)} into={into} />);
    await sse.closingEvent("SESSION_ENDED");
    expect([container.textContent, into.sse.connectionError, into.sse.closeReason, errors]).toEqual([
      "closed",
      null,
      "session-ended",
      [],
    ]);
  });
});

describe("row 23", () => {
  it("a signal that is replaced counts, and the old one no longer", async () => {
    const sse = mock();
    const [old, other] = [new AbortController(), new AbortController()];
    const { render, container } = await mount(<Status {...sse.options} signal={old.signal} />);
    await render(<Status {...sse.options} signal={other.signal} />);
    old.abort();
    await settle();
    expect(container.textContent).toBe("open/true/-");
    other.abort();
    await settle();
    expect([container.textContent, sse.connections]).toEqual(["closed/false/-", 0]);
  });
});

/** Delivers events to the handlers of all clients at once, as a client does when bytes come. */
function recordHandlers(): (sessionId: string, type: string, value: string) => void {
  const all = new Set<{ sessionId: string; type: string; handler: (data: unknown, event: SSEEvent) => void }>();
  const on = SSEClient.prototype.on;
  vi.spyOn(SSEClient.prototype, "on").mockImplementation(function (this: SSEClient, type, handler, options) {
    const registration = { sessionId: String(this.options.sessionId), type, handler };
    all.add(registration);
    const off = on.call(this, type, handler, options);
    return () => {
      all.delete(registration);
      off();
    };
  });
  return (sessionId, type, value) => {
    const event: SSEEvent = { type, data: value, text: value, id: "" };
    for (const call of [...all]) if (call.sessionId === sessionId && call.type === type) call.handler(value, event);
  };
}
