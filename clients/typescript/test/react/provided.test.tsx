import type { ReactNode } from "react";
import { expect, it } from "vitest";
import { createDevtools } from "../../src/devtools.ts";
import { Origin } from "../../src/publish.ts";
import { SSEProvider, useSSEEvent, useSSEState } from "../../src/react/index.ts";
import { mock, mount } from "./kit.tsx";

it("events say whose they are through a provider, to handlers, reducers and components with parsers of their own", async () => {
  const sse = mock();
  const origin = new Origin();
  const told: unknown[] = [];
  let lastId = "";
  function Page(): ReactNode {
    useSSEEvent("n", (data, { own, id }) => {
      told.push(["handler", data, own]);
      lastId = id;
    });
    useSSEEvent("n", (data, { own }) => told.push(["parsed", data, own]), { parsers: { n: (text) => `<${text}>` } });
    return useSSEState<number, unknown>("n", (count, _, { own }) => (own === true ? count : count + 1), 0);
  }
  const { render, text } = await mount(
    <SSEProvider {...sse.options} origin={origin}>
      <Page />
    </SSEProvider>,
  );
  expect(text).toBe("0");
  await sse.emit("n", 1);
  const end = origin.begin();
  await sse.emit("n", 2);
  const pending = told.slice(2).map((entry) => (entry as unknown[])[2]);
  end([]);
  expect(await Promise.all(pending)).toEqual([false, false]);
  // The next one's id, as the answer to its publish gives it.
  origin.begin()([lastId.replace(/\d+$/, "3")]);
  await sse.emit("n", 3);
  expect(told.slice(0, 2)).toEqual([["handler", 1, false], ["parsed", "<1>", false]]);
  expect(told.slice(4)).toEqual([["handler", 3, true], ["parsed", "<3>", true]]);
  await render(null);
});

it("a provider's debug hook sees the one connection that its components share, and its end", async () => {
  const sse = mock();
  const { debug, streams, remove } = createDevtools();
  function Row(): ReactNode {
    useSSEEvent("n", () => {});
    return null;
  }
  const { render } = await mount(
    <SSEProvider {...sse.options} debug={debug} linger={0}>
      <Row />
      <Row />
    </SSEProvider>,
  );
  await sse.emit("n", 1);
  expect(streams()).toMatchObject([{ state: "open", attempts: 1, events: 1 }]);
  await render(null);
  expect(streams()).toEqual([]);
  remove();
});
