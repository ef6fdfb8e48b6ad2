import { StrictMode, type ReactNode } from "react";
import { describe, expect, it, vi } from "vitest";
import type { AttemptContext, SSEError } from "../../src/index.ts";
import { SSEProvider, useSSE, useSSEEvent } from "../../src/react/index.ts";
import { settle } from "../../src/testing/index.ts";
import { data, mock, mount, mountStrict, seen, Status, Watch } from "./kit.tsx";

describe("options", () => {
  it("may be written inline: 50 renders and a mount under StrictMode are one request", async () => {
    const sse = mock();
    const into = seen();
    const tree = (n: number): ReactNode => (
      <Watch {...sse.options} headers={{ "x-render": String(n) }} url={new URL("https://hub.invalid/e")} into={into} />
    );
    const { render } = await mountStrict(tree(0));
    for (let n = 1; n <= 50; n++) await render(tree(n));
    await sse.emit("n", 1);
    expect([sse.requests, sse.connections, data(into)]).toEqual([1, 1, [1]]);
  });

  it("are read anew for each attempt, and those that are gone are gone", async () => {
    const sse = mock();
    const tree = (options: object): ReactNode => <Status {...sse.options} {...options} />;
    const { render } = await mount(tree({ token: "old", headers: { "x-a": "1" } }));
    await render(tree({ token: "new" }));
    expect(sse.requests).toBe(1);
    await sse.drop();
    await sse.reconnect();
    const sent = sse.hub.requests.map(({ headers }) => [headers.get("authorization"), headers.get("x-a")]);
    expect(sent).toEqual([["Bearer old", "1"], ["Bearer new", null]]);
  });

  it("of the first component count, then those of the next one", async () => {
    const sse = mock();
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const one = <Status key={1} {...sse.options} token={() => "one"} />;
    const two = <Status key={2} {...sse.options} token={() => "two"} />;
    const { render } = await mount([one, two]);
    await render([two]);
    await sse.drop();
    await sse.reconnect();
    expect(sse.hub.requests.map(({ headers }) => headers.get("authorization"))).toEqual(["Bearer one", "Bearer two"]);
  });

  it("that differ are warned of once, by name and not by value", async () => {
    const sse = mock();
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    await mount([
      <Status key={1} {...sse.options} token="secret" maxRetries={7} onError={() => {}} />,
      <Status key={2} {...sse.options} token="secret" headers={{}} enabled />,
      <Status key={3} {...sse.options} token="secret" pollingInterval={5} />,
    ]);
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls[0]?.[0]).toMatch(/differ in maxRetries; the first one counts/);
    expect(warn.mock.calls[0]?.[0]).not.toMatch(/secret|7/);
  });

  it("onError and onComment of everybody are called, the latest ones", async () => {
    const sse = mock();
    const told: string[] = [];
    const tree = (n: number): ReactNode => [
      <Status key={1} {...sse.options} onError={({ kind }) => told.push(`a${n} ${kind}`)} />,
      <Status key={2} {...sse.options} onError={({ kind }) => told.push(`b${n} ${kind}`)} onComment={() => told.push("c")} />,
    ];
    const { render } = await mount(tree(1));
    await render(tree(2));
    await sse.drop();
    expect(told).toEqual(["c", "a2 network", "b2 network"]);
  });

  it("an onError that comes later is told, and without one what handlers throw is reported all the same", async () => {
    const sse = mock();
    const told: string[] = [];
    const boom = new Error("boom");
    const reported: unknown[] = [];
    vi.stubGlobal("reportError", (thrown: unknown) => reported.push(thrown));
    const options = { ...sse.options, onError: undefined };
    const Thrower = (): ReactNode => {
      useSSEEvent("n", () => {
        throw boom;
      }, options);
      return null;
    };
    const tree = (onError?: (error: SSEError) => void): ReactNode => [
      <Thrower key={1} />,
      <Status key={2} {...options} {...(onError && { onError })} />,
    ];
    const { render } = await mount(tree());
    await sse.emit("n", 1);
    expect(reported).toEqual([boom]);
    await render(tree(({ kind }) => told.push(kind)));
    await sse.emit("n", 2);
    expect(told).toEqual(["handler"]);
    expect(reported).toEqual([boom]);
    vi.unstubAllGlobals();
  });

  it("a provider's onError is called once, however many components are below it", async () => {
    const sse = mock();
    const told: string[] = [];
    await mount(
      <SSEProvider {...sse.options} onError={({ kind }) => told.push(kind)}>
        <Status />
        <Status />
      </SSEProvider>,
    );
    await sse.drop();
    expect(told).toEqual(["network"]);
  });

  it("come from the nearest provider that gives them", async () => {
    const sse = mock();
    await mount(
      <SSEProvider {...sse.options} token="far" headers={{ "x-a": "far" }}>
        <SSEProvider token="near" headers={undefined}>
          <Status sessionId="s" headers={undefined} />
        </SSEProvider>
        <SSEProvider url="https://hub.invalid/by-url">
          <Status />
          <Status sessionId="by-session" />
        </SSEProvider>
      </SSEProvider>,
    );
    const [first, second, third] = sse.hub.requests;
    expect([first?.headers.get("authorization"), first?.headers.get("x-a")]).toEqual(["Bearer near", "far"]);
    expect([second?.sessionId, third?.sessionId]).toEqual(["/by-url", "by-session"]);
  });

  it("may be none: the registry needs no provider", async () => {
    const sse = mock();
    function Bare(): ReactNode {
      return useSSE(sse.options).connectionState;
    }
    const one = await mount(<Bare />);
    const two = await mount(<Bare />);
    expect([one.text, two.text, sse.requests]).toEqual(["open", "open", 1]);
  });
});

describe("a token that is waited for", () => {
  it("under StrictMode is asked for once, and makes one connection", async () => {
    const sse = mock();
    const contexts: AttemptContext[] = [];
    let give: (token: string) => void = () => {};
    const token = (context: AttemptContext): Promise<string> => {
      contexts.push(context);
      return new Promise((resolve) => (give = resolve));
    };
    const { unmount } = await mountStrict(<Status {...sse.options} token={(context) => token(context)} />);
    expect([contexts.length, sse.requests]).toEqual([1, 0]);
    give("late");
    await sse.open();
    expect(sse.hub.requests.map(({ headers }) => headers.get("authorization"))).toEqual(["Bearer late"]);
    unmount();
    await settle();
    expect([sse.connections, contexts[0]?.signal.aborted]).toEqual([0, true]);
  });

  it("after unmounting comes too late: there is no request", async () => {
    const sse = mock();
    let give: (token: string) => void = () => {};
    const token = (): Promise<string> => new Promise((resolve) => (give = resolve));
    const { unmount } = await mount(
      <StrictMode>
        <Status {...sse.options} token={token} />
      </StrictMode>,
    );
    unmount();
    give("late");
    await settle();
    expect(sse.requests).toBe(0);
  });

  it("is asked for again after a 401, by whichever closure is the latest", async () => {
    const sse = mock();
    const tree = (n: number): ReactNode => (
      <Status {...sse.options} token={({ refresh }) => `${n}${refresh ? " refreshed" : ""}`} />
    );
    const { render, container } = await mount(tree(1));
    await render(tree(2));
    await sse.fail(401);
    await sse.reconnect();
    expect(sse.hub.requests.map(({ headers }) => headers.get("authorization"))).toEqual(
      ["Bearer 1", "Bearer 2", "Bearer 2 refreshed"],
    );
    expect(container.textContent).toBe("open/true/-");
  });
});
