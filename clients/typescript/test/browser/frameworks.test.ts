import { derived, get } from "svelte/store";
import { describe, expect, test } from "vitest";
import { createApp, defineComponent, h, nextTick, ref, type App } from "vue";
import { registry } from "../../src/store/connection.ts";
import { sseState, sseStore } from "../../src/svelte.ts";
import { createMockSSE, settle } from "../../src/testing/index.ts";
import { useSSE, useSSEEvent, useSSEState } from "../../src/vue.ts";

const frame = (): Promise<unknown> => new Promise((resolve) => requestAnimationFrame(resolve));

function mountVue(setup: () => () => unknown): { app: App; text(): string } {
  const place = document.body.appendChild(document.createElement("div"));
  const app = createApp(defineComponent({ setup: setup as never }));
  app.mount(place);
  return { app, text: () => place.textContent ?? "" };
}

describe("Vue", () => {
  test("components share one connection, get the events, and leave nothing behind", async () => {
    const sse = createMockSSE();
    const got: unknown[] = [];
    const Child = defineComponent({
      setup() {
        const { status } = useSSE(sse.options);
        return () => h("i", status.value.state);
      },
    });
    const { app, text } = mountVue(() => {
      useSSEEvent("n", (data) => got.push(data), sse.options);
      const sum = useSSEState("n", (total: number, n: number) => total + n, 0, sse.options);
      return () => [h(Child), h("b", ` ${sum.value}`)];
    });
    await settle();
    for (const n of [1, 2, 3]) await sse.emit("n", n);
    await frame();
    await nextTick();
    expect([sse.requests, got, text()]).toEqual([1, [1, 2, 3], "open 6"]);
    await sse.drop();
    await nextTick();
    expect(text()).toBe("reconnecting 6");
    app.unmount();
    await sse.expectNoLeaks();
    expect(registry.size).toBe(0);
  });

  test("options that mean another stream move over; others reconnect nobody", async () => {
    const sse = createMockSSE();
    const [sessionId, retryDelay] = [ref("a"), ref(1_000)];
    const got: unknown[] = [];
    const { app } = mountVue(() => {
      useSSEEvent("n", (data) => got.push(data), () => ({ ...sse.options, sessionId: sessionId.value, retryDelay: retryDelay.value }));
      return () => null;
    });
    await settle();
    retryDelay.value = 5;
    await settle();
    expect(sse.requests).toBe(1);
    sessionId.value = "b";
    await settle();
    sse.hub.publish("a", "n", "old");
    await sse.emit("n", "new", "b");
    expect([sse.requests, sse.connections, got]).toEqual([2, 1, ["new"]]);
    app.unmount();
    await sse.expectNoLeaks();
  });
});

describe("Svelte", () => {
  test("a store connects with its first subscriber and closes with the last", async () => {
    const sse = createMockSSE();
    const status = sseStore(sse.options);
    const got: unknown[] = [];
    status.addEventListener("n", ({ data }) => got.push(data));
    const states: string[] = [];
    const state = derived(status, ({ state }) => state);
    const offs = [state.subscribe((value) => states.push(value)), state.subscribe(() => {})];
    await settle();
    await sse.emit("n", 1);
    expect([sse.requests, got, states]).toEqual([1, [1], ["connecting", "open"]]);
    for (const off of offs) off();
    await sse.expectNoLeaks();
    expect([sse.connections, registry.size]).toEqual([0, 0]);
  });

  test("a folded state is a store as well, shares the connection, and changes once a frame", async () => {
    const sse = createMockSSE();
    const sum = sseState("n", (total: number, n: number) => total + n, 0, sse.options);
    const status = sseStore(sse.options);
    const values: number[] = [];
    const offs = [sum.subscribe((value) => values.push(value)), status.subscribe(() => {})];
    await settle();
    await frame();
    for (let n = 1; n <= 100; n++) sse.hub.publish("test", "n", n);
    await settle();
    await frame();
    expect([sse.requests, values.at(-1), get(sum), values.length <= 4]).toEqual([1, 5_050, 5_050, true]);
    for (const off of offs) off();
    await sse.expectNoLeaks();
  });
});
