// `npm start`: a hub, something that feeds it, and the page. Ctrl-C ends all three in order, a second one at once.
//
// | variable         | default                        |                                                            |
// |------------------|--------------------------------|------------------------------------------------------------|
// | `HUB_URL`        | a hub of our own               | use this hub                                               |
// | `WATERTIGHT_BIN` | what `cargo build` makes       | the binary of a hub of our own                             |
// | `HUB_PORT`       | a free one                     | where a hub of our own listens                             |
// | `PORT`           | 5173, or the next free one     | where the page is; it has to be free                       |
// | `SESSION`        | agents                         | the session that is fed and shown                          |
// | `RATE`           | 10                             | updates per second                                         |
import { once } from "node:events";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { startFeed } from "./feed.mjs";
import { buildHub, startHub } from "./hub.mjs";

const { HUB_URL, WATERTIGHT_BIN, HUB_PORT, PORT, SESSION = "agents", RATE = "10" } = process.env;

/** What has to be stopped, the last one first: nobody loses the one whom he talks to. @type {(() => Promise<unknown>)[]} */
const started = [];
const interrupted = new AbortController();
/** npm passes on a Ctrl-C that the terminal has sent us, too: so long after the first a signal is still the same one, milliseconds. */
const SAME_SIGNAL = 1_000;
let interruptedAt = 0;
/** @param {NodeJS.Signals} signal */
const interrupt = (signal) => {
  interruptedAt ||= performance.now();
  interrupted.abort();
  // A second one ends everything at once: the hub is killed when we exit.
  if (performance.now() - interruptedAt > SAME_SIGNAL) process.exit(128 + constants.signals[signal]);
};
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) process.on(signal, interrupt);

async function run() {
  const hub = HUB_URL ? undefined : await ownHub();
  const url = HUB_URL ?? hub?.url ?? "";
  const [address, close] = await startPage(url);
  started.push(close);
  const feed = startFeed({ hub: url, session: SESSION, rate: Number(RATE) });
  started.push(feed.stop);

  console.log(`
  hub   ${url}${hub ? `  (pid ${hub.pid()}; kill it, and watch the page come back)` : ""}
  feed  ${RATE} updates per second to session ${SESSION}
  page  ${address}

  Ctrl-C ends everything.
`);
  if (!interrupted.signal.aborted) {
    const over = [once(interrupted.signal, "abort"), feed.done, hub?.failed];
    await Promise.race(over.filter((one) => one !== undefined));
  }
  console.log("stopping");
  await feed.stop();
  console.log(`feed: ${feed.published()} updates published`);
}

async function ownHub() {
  const binary = WATERTIGHT_BIN ?? (await buildHub({ release: true }));
  const hub = await startHub({ binary, port: Number(HUB_PORT ?? 0) });
  started.push(hub.stop);
  return hub;
}

/**
 * Vite's development server, which hands `/hub` on to the hub: for the browser both are one origin.
 *
 * @param {string} hub
 * @returns {Promise<[address: string, close: () => Promise<void>]>}
 */
async function startPage(hub) {
  // Read by vite.config.ts.
  process.env["HUB_URL"] = hub;
  const { createServer } = await import("vite");
  const server = await createServer({
    root: fileURLToPath(new URL("..", import.meta.url)),
    clearScreen: false,
    server: PORT ? { port: Number(PORT), strictPort: PORT !== "0" } : {},
  });
  await server.listen();
  // Vite would end the process at SIGTERM, whatever there is still to stop.
  for (const listener of process.listeners("SIGTERM")) {
    if (listener !== interrupt) process.off("SIGTERM", listener);
  }
  const address = new URL(server.resolvedUrls?.local[0] ?? "");
  if (SESSION !== "agents") address.searchParams.set("session", SESSION);
  return [address.href, () => server.close()];
}

try {
  await run();
} catch (error) {
  if (!interrupted.signal.aborted) {
    console.error(error);
    process.exitCode = 1;
  }
} finally {
  for (const stop of started.reverse()) await stop();
}
