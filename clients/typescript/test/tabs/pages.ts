import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { chromium, type Browser } from "playwright-core";
import { WELCOME_TIMEOUT } from "../../src/tabs/follow.ts";

/**
 * Every page: the package as it is built, and a word to begin with. A leading tab has a minute to answer instead of
 * seconds: a slow machine is not to be taken for a tab that is frozen, which no test has.
 */
const html = `<!doctype html><title>tab</title><script>
  const { setTimeout: start } = globalThis;
  globalThis.setTimeout = (then, ms, ...args) => start(then, ms === ${WELCOME_TIMEOUT} ? 60_000 : ms, ...args);
</script><script type="module">
  import { SSEClient } from "/index.js";
  import { shareTabs } from "/tabs.js";
  globalThis.texts = [];
  globalThis.comments = [];
  globalThis.begin = (variable, options, name, texts = globalThis.texts) => {
    const client = new SSEClient({ ...options, onComment: (text) => comments.push(text), ...(name && { fetch: shareTabs({ name }) }) });
    client.on("*", (data, { type }) => texts.push(type === "gap" ? "gap" : data));
    client.connect();
    globalThis[variable] = client;
  };
</script>`;

/** A browser of this test file's own, and a server for its pages. */
export async function startBrowser(
  ignoreDefaultArgs: string[] = [],
): Promise<{ browser: Browser; origin: string; stop(): Promise<void> }> {
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    ignoreDefaultArgs,
  });
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    const isScript = path.endsWith(".js");
    const content = isScript ? readFile(new URL(`../../dist${path}`, import.meta.url)) : html;
    Promise.resolve(content).then(
      (body) => response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" }).end(body),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    browser,
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      await browser.close();
      await new Promise((resolve) => (server.close(resolve), server.closeAllConnections()));
    },
  };
}
