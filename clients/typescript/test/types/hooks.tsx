// What the types of the hooks allow, and what they do not. Compiled, never run.
import { createElement, useState } from "react";
import { SSEClient, SSEError } from "watertight";
import {
  createSSEHooks,
  SSEErrorBoundary,
  SSEProvider,
  useSSE,
  useSSEEvent,
  useSSEState,
  useSSEStatus,
  type CloseReason,
  type ConnectionState,
  type SSEEvent,
  type UseSSEOptions,
  type UseSSEReturn,
} from "watertight/react";

interface Tick {
  n: number;
}
interface Events {
  tick: Tick;
  log: string;
}

declare function expectType<T>(value: T): void;
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(proof: Equal<A, B>): void;

export function Untyped() {
  const sse = useSSEEvent("tick", (data, event) => {
    same<typeof data, any>(true);
    same<typeof event, SSEEvent<any>>(true);
    data.anything.goes;
  });
  same<typeof sse, UseSSEReturn>(true);
  expectType<boolean>(sse.isConnected);
  expectType<ConnectionState>(sse.connectionState);
  expectType<SSEError | null>(sse.connectionError);
  const off = sse.addEventListener("tick", (event) => same<typeof event.data, unknown>(true));
  same<typeof off, () => void>(true);
  sse.connect();
  sse.disconnect();
  sse.reconnect();
  // @ts-expect-error the state is one of a few words
  return sse.connectionState === "connected";
}

export function TypedByData() {
  useSSEEvent<Tick>("tick", (data, event) => {
    same<typeof data, Tick>(true);
    same<typeof event.data, Tick>(true);
    // @ts-expect-error there is no such field
    data.m;
  });
  useSSEEvent("tick", (data: Tick) => data.n);
  const [tick, setTick] = useState<Tick>();
  useSSEEvent<Tick>("tick", setTick, { sessionId: "s" });
  // @ts-expect-error a type is a string
  useSSEEvent(1, () => {});
  // @ts-expect-error the handler is no string
  useSSEEvent("tick", "handler");
  return tick?.n;
}

export function TypedByMap() {
  const { addEventListener } = useSSE<Events>();
  addEventListener("tick", (event) => same<typeof event, SSEEvent<Tick>>(true));
  addEventListener("log", (event) => event.data.toUpperCase());
  addEventListener("gap", (event) => event.data.missed);
  // @ts-expect-error not in the map
  addEventListener("tock", () => {});
  // @ts-expect-error data of this type is text
  addEventListener("log", (event) => event.data.n);
  return null;
}

const hooks = createSSEHooks<Events>();

export function TypedOnceForAll() {
  const sse = hooks.useSSEEvent("tick", (data, event) => {
    same<typeof data, Tick>(true);
    same<typeof event, SSEEvent<Tick>>(true);
  });
  same<typeof sse, UseSSEReturn<Events>>(true);
  hooks.useSSEEvent("*", (data, event) => [same<typeof data, unknown>(true), event.type]);
  hooks.useSSEEvent("gap", (gap) => gap.reason);
  hooks.useSSE().addEventListener("log", (event) => event.data.length);
  // @ts-expect-error not in the map
  hooks.useSSEEvent("tock", () => {});
  // @ts-expect-error parsers give what the map says
  hooks.useSSE({ parsers: { tick: (text) => text } });
  hooks.useSSE({ parsers: { tick: (text) => ({ n: Number(text) }) } });
  return null;
}

export function Folded() {
  const sum = useSSEState<number, Tick>("tick", (total, { n }) => total + n, 0);
  same<typeof sum, number>(true);
  const all = hooks.useSSEState("tick", (ticks: Tick[], tick) => [...ticks, tick], []);
  same<typeof all, Tick[]>(true);
  const shown = useSSEStatus(({ state, reason }) => ({ state, reason }));
  same<typeof shown.reason, CloseReason | null>(true);
  expectType<string>(useSSE().lastEventId);
  return sum + all.length;
}

export function Options({ maybe }: { maybe: string | undefined }) {
  useSSE();
  useSSE({});
  useSSE({ sessionId: maybe, enabled: maybe !== undefined, key: "k", token: async () => maybe, headers: undefined });
  useSSE({ url: () => new URL("https://example.com"), key: "k", replay: "all" });
  // @ts-expect-error milliseconds are a number
  useSSE({ retryDelay: "1s" });
  // @ts-expect-error no such option
  useSSE({ reconnect: true });
  const options: UseSSEOptions<Events> = { baseUrl: "https://example.com" };
  useSSE<Events>(options);
  // What a client takes, a hook takes.
  useSSE(new SSEClient<Events>({ url: "/" }).options);
  return null;
}

export const Tree = (
  <SSEProvider baseUrl="https://example.com" token={() => "t"} sessionId="s" enabled={false}>
    <SSEProvider />
    <SSEErrorBoundary
      fallback={({ error, reset }) => <button onClick={reset}>{error.kind}</button>}
      onError={(error, info) => [error.status, info.componentStack]}
      onReset={() => {}}
    >
      <Untyped />
      text
    </SSEErrorBoundary>
    <SSEErrorBoundary fallback={null} />
    {/* @ts-expect-error the fallback is given an object */}
    <SSEErrorBoundary fallback={(error: SSEError) => error.kind} />
    {createElement(SSEErrorBoundary, null, "child")}
  </SSEProvider>
);
