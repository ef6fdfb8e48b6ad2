import * as React from "react";
import { StrictMode, type ReactNode } from "react";
import { flushSync } from "react-dom";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, vi, type MockInstance } from "vitest";
import { registry } from "../../src/store/connection.ts";
import { useSSE, useSSEEvent, type SSEEvent, type UseSSEOptions, type UseSSEReturn } from "../../src/react/index.ts";
import { stopAll } from "../kit/remote.ts";
import { createMockSSE, expectNoLeaks, settle, type MockSSE, type MockSSEOptions } from "../../src/testing/index.ts";

/** Only of React 19.2 and later. */
export const Activity: React.ComponentType<{ mode: "visible" | "hidden"; children: ReactNode }> | undefined = (
  React as unknown as Record<string, typeof Activity>
)["Activity"];

export interface Mounted {
  readonly container: HTMLElement;
  readonly text: string;
  /** Renders, and lets everything happen that follows. */
  render(element: ReactNode): Promise<void>;
  unmount(): void;
}

const roots = new Set<Root>();
const mocks = new Set<MockSSE>();
let consoleError: MockInstance;
let silent = false;

/** Mounts for real: no `act`, React's own scheduling. */
export async function mount(element: ReactNode, markup?: string): Promise<Mounted> {
  const container = document.body.appendChild(document.createElement("div"));
  if (markup !== undefined) container.innerHTML = markup;
  const root = markup === undefined ? createRoot(container) : hydrateRoot(container, element);
  roots.add(root);
  const mounted: Mounted = {
    container,
    get text() {
      return container.textContent ?? "";
    },
    async render(next) {
      flushSync(() => root.render(next));
      await settle(6);
    },
    unmount() {
      roots.delete(root);
      flushSync(() => root.unmount());
      container.remove();
    },
  };
  await (markup === undefined ? mounted.render(element) : settle(6));
  return mounted;
}

export function mountStrict(element: ReactNode): Promise<Mounted> {
  return mount(<StrictMode>{element}</StrictMode>);
}

/** A mock that is checked for leaks after the test. */
export function mock(options?: MockSSEOptions): MockSSE {
  const sse = createMockSSE(options);
  mocks.add(sse);
  return sse;
}

/** What a {@link Watch} saw. */
export interface Seen {
  events: SSEEvent[];
  renders: number;
  sse: UseSSEReturn;
}

export function seen(): Seen {
  return { events: [], renders: 0, sse: undefined as unknown as UseSSEReturn };
}

export function data({ events }: Seen): unknown[] {
  return events.map((event) => event.data);
}

/** A component with an inline handler and inline options. */
export function Watch({ type = "n", into, ...options }: Omit<UseSSEOptions, "key"> & { type?: string; into: Seen }): ReactNode {
  into.renders++;
  into.sse = useSSEEvent(type, (_, event) => into.events.push(event), { ...options });
  return <i>{into.sse.connectionState}</i>;
}

/** A component with the status only. */
export function Status(options: Omit<UseSSEOptions, "key">): ReactNode {
  const { connectionState, isConnected, connectionError } = useSSE(options);
  return <b>{`${connectionState}/${isConnected}/${connectionError?.kind ?? "-"}`}</b>;
}

beforeEach(() => {
  consoleError = vi.spyOn(console, "error");
});

/** Every test ends so: nothing is left of React's trees, of any connection, and nothing was complained about. */
afterEach(async () => {
  for (const root of roots) flushSync(() => root.unmount());
  roots.clear();
  document.body.replaceChildren();
  const complaints = silent ? [] : [...consoleError.mock.calls];
  silent = false;
  vi.restoreAllMocks();
  await stopAll();
  for (const sse of mocks) await sse.expectNoLeaks();
  mocks.clear();
  await expectNoLeaks();
  expect(registry.size).toBe(0);
  expect(complaints).toEqual([]);
});

/** For tests in which React is right to complain. */
export function silenceConsole(): void {
  silent = true;
  consoleError.mockImplementation(() => {});
}
