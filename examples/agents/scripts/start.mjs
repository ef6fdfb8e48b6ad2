// `npm start`: makes what is missing, and runs the hub and the service, which also serves the page. Ctrl-C ends both in order, a
// second one at once.
//
// | variable         | default                   |                                                                       |
// |------------------|---------------------------|-----------------------------------------------------------------------|
// | `PORT`           | 5180                      | where the page is; 0: a free one                                      |
// | `HUB_PORT`       | a free one                | where the hub listens                                                 |
// | `WATERTIGHT_BIN` | what cargo builds         | the binary of the hub                                                 |
// | `PYTHON`         | python3                   | with which the virtual environment is made                            |
// | `AGENTS_PYTHON`  | that of `.venv`           | an interpreter that has everything already; nothing is installed then |
// | `PYTHON_CLIENT`  | ../../clients/python      | a wheel of the Python client that is there already                    |
// | `DATA`           | `.data`                   | where the database and the secret are kept                            |
// | `PUBLIC_URL`     | http://127.0.0.1:PORT     | the page, as browsers see it, if something is in between              |
// | `HUB_PUBLIC_URL` | http://127.0.0.1:HUB_PORT | the hub, as browsers see it                                           |
// | `PACE`           | 1                         | how long the agents take, as a multiple                               |
// | `TOKEN_LIFETIME` | 300                       | how long a page's token is good, seconds                              |
// | `RESTART_AFTER`  | 2000                      | how long a server that died stays away, milliseconds                  |
// | `SAME_SIGNAL`    | 1000                      | how long after a Ctrl-C another one is the same, milliseconds         |
// | `WATERTIGHT_…`   |                           | settings of the hub                                                   |
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { constants } from "node:os";
import { join } from "node:path";
import { data, here } from "./files.mjs";
import { keep } from "./keep.mjs";
import { prepareHub, prepareNode, preparePage, preparePython } from "./prepare.mjs";

const { PORT = "5180", HUB_PORT = "0", DATA = data, PUBLIC_URL, PACE = "1", TOKEN_LIFETIME = "300" } = process.env;

/** What has to be stopped, the last one first: nobody loses the one whom he talks to. @type {(() => Promise<unknown>)[]} */
const started = [];
const interrupted = new AbortController();
/** npm passes on a Ctrl-C that the terminal has sent us, too: so long after the first a signal is still the same one, milliseconds. */
const SAME_SIGNAL = Number(process.env["SAME_SIGNAL"] ?? 1_000);
let interruptedAt = 0;
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.on(signal, () => {
    interruptedAt ||= performance.now();
    interrupted.abort();
    // A second one ends everything at once: `keep` kills what it has started when we exit.
    if (performance.now() - interruptedAt > SAME_SIGNAL) process.exit(128 + constants.signals[signal]);
  });
}

async function run() {
  prepareNode();
  const page = preparePage();
  const python = preparePython();
  const binary = await prepareHub({ release: true });
  if (interrupted.signal.aborted) return;

  const secret = prepareSecret();
  // The hub has to know the page's address, and the service that of the hub: so this one is chosen first.
  const port = Number(PORT) || (await freePort());
  const hub = await startHub(binary, secret, PUBLIC_URL ?? `http://127.0.0.1:${port}`);
  started.push(hub.stop);
  const service = await startService(python, { hub: hub.url, secret, page, port });
  started.push(service.stop);

  console.log(`
  hub      ${hub.url}  (pid ${hub.pid()}; kill it, or the service, and watch the page)
  service  ${service.url}  (pid ${service.pid()})
  page     ${service.url}/

  Ctrl-C ends everything.
`);
  if (!interrupted.signal.aborted) await Promise.race([once(interrupted.signal, "abort"), hub.failed, service.failed]);
  console.log("stopping");
}

/** The secret that the service signs tokens with, and the hub verifies them with. Made once, for nobody else to read. */
function prepareSecret() {
  mkdirSync(DATA, { recursive: true, mode: 0o700 });
  const file = join(DATA, "token-secret");
  if (!existsSync(file)) writeFileSync(file, `${randomBytes(48).toString("base64url")}\n`, { mode: 0o600 });
  return file;
}

/** @returns {Promise<number>} */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  server.close();
  await once(server, "close");
  return address.port;
}

/** @param {string} binary @param {string} secret @param {string} page the origin of the page, which may use the hub */
function startHub(binary, secret, page) {
  // Its settings are the hub's (`WATERTIGHT_EVENT_TTL=10s npm start`), but it refuses a name that is none of them.
  const { WATERTIGHT_BIN: _, ...inherited } = process.env;
  return keep(
    {
      name: "hub",
      command: binary,
      args: (at) => ["serve", "--listen", `127.0.0.1:${at}`, "--log-level", "warn"],
      env: () => ({ ...inherited, WATERTIGHT_TOKEN_SECRET_FILE: secret, WATERTIGHT_CORS_ORIGINS: page }),
      listens: /^watertight: listening on http:\/\/127\.0\.0\.1:(\d+)/,
    },
    Number(HUB_PORT),
  );
}

/**
 * @param {string} python
 * @param {{ hub: string, secret: string, page: string, port: number }} settings
 */
function startService(python, { hub, secret, page, port }) {
  return keep(
    {
      name: "service",
      command: python,
      args: () => ["-m", "agents_service"],
      cwd: join(here, "service"),
      env: (at) => ({
        ...process.env,
        HUB_URL: hub,
        TOKEN_SECRET_FILE: secret,
        DATABASE: join(DATA, "agents.db"),
        PAGE: page,
        PORT: `${at}`,
        PACE,
        TOKEN_LIFETIME,
      }),
      listens: /^agents: listening on http:\/\/127\.0\.0\.1:(\d+)/,
    },
    port,
  );
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
