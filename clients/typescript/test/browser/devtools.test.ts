import { expect, test } from "vitest";
import { createDevtools } from "../../src/devtools.ts";
import { createMemoryHub } from "../../src/testing/index.ts";
import { connect } from "../kit/watch.ts";

const panels = (): Element[] => [...document.querySelectorAll("watertight-devtools")];
const textOf = (part: string): string => panels()[0]?.shadowRoot?.querySelector(part)?.textContent ?? "";

test("the panel shows each stream and what is open, and leaves nothing on the page", async () => {
  const hub = createMemoryHub();
  const devtools = createDevtools();
  expect(panels()).toEqual([]);
  const watched = connect({ sessionId: "<b>orders</b>", fetch: hub.fetch, debug: devtools.debug });
  await watched.until("open");
  const id = hub.publish("<b>orders</b>", "n", 1);
  await expect.poll(() => textOf("table")).toContain(id);
  expect(panels()).toHaveLength(1);
  expect(textOf("table")).toContain("<b>orders</b>openstream");
  await expect.poll(() => textOf("summary")).toBe("watertight: streams 1, requests 1, timers 1, listeners 4, handlers 2");
  watched.client.destroy();
  await expect.poll(() => textOf("summary")).toMatch(/^watertight: streams 0, requests 0, timers 0, listeners 0/);
  devtools.remove();
  expect(panels()).toEqual([]);
  // A record that comes after it brings nothing back.
  const later = connect({ sessionId: "s", fetch: hub.fetch, debug: devtools.debug });
  await later.until("open");
  later.client.destroy();
  expect(panels()).toEqual([]);
});
