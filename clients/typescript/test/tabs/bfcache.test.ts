import { afterAll, beforeAll, expect, test } from "vitest";
import { startHub } from "../kit/remote.ts";
import { startBrowser } from "./pages.ts";

// The real back-forward cache, which test tools switch off by default.

let started: Awaited<ReturnType<typeof startBrowser>>;

beforeAll(async () => {
  started = await startBrowser(["--disable-back-forward-cache"]);
});

afterAll(() => started.stop());

test("a page goes into the back-forward cache without its connection, and gets what it missed when it is back", async () => {
  const hub = await startHub("--cors-origins", started.origin);
  const page = await started.browser.newPage();
  await page.goto(started.origin);
  await page.waitForFunction("globalThis.begin", undefined, { polling: 50 });
  await page.evaluate(`begin("client", ${JSON.stringify({ baseUrl: hub.url, sessionId: "s" })})`);
  await page.evaluate(`addEventListener("pageshow", ({ persisted }) => (globalThis.persisted = persisted))`);
  await expect.poll(() => page.evaluate("client.state")).toBe("open");
  await hub.publish("s", ["a"]);
  await expect.poll(() => page.evaluate("texts")).toEqual(["a"]);

  await page.goto(`${started.origin}/elsewhere`);
  await expect.poll(() => hub.subscribers()).toBe(0);
  await hub.publish("s", ["b", "c"]);

  // A page that comes out of the cache is not loaded.
  await page.goBack({ waitUntil: "commit" });
  await expect.poll(() => page.evaluate("globalThis.persisted"), { message: "the page as it was" }).toBe(true);
  await expect.poll(() => page.evaluate("texts")).toEqual(["a", "b", "c"]);
  expect(await page.evaluate("client.state")).toBe("open");
  expect(await hub.subscribers()).toBe(1);
  await page.close();
});
