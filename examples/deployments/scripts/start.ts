// `npm start`: the whole platform. Ctrl-C ends it in order, a second one at once.
//
// | variable         | default                        |                                                             |
// |------------------|--------------------------------|-------------------------------------------------------------|
// | `REDIS_URL`      | a Redis of our own             | use this one: a database of its own, nothing else in it      |
// | `WATERTIGHT_BIN` | what `cargo build` makes       | the binary of the hub and of `watertight run`                |
// | `PORT`           | 5173, or the next free one     | where the page is                                            |
// | `DATA_DIR`       | `data` in this folder          | where Redis, spools and what is built are kept               |
// | `SLOWLY`         | 0                              | milliseconds before each step of the project `pages`         |
// | `TOKEN_LIFETIME` | 300                            | seconds that a token for the hub lasts                       |
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { hubBinary } from "./binary.ts";
import { startPlatform, type Platform } from "./platform.ts";
import { killAll } from "./supervise.ts";

const { REDIS_URL, PORT, DATA_DIR = fileURLToPath(new URL("../data", import.meta.url)) } = process.env;

const interrupted = new AbortController();
/** npm may pass on a Ctrl-C that the terminal has sent us, too: so long after another a signal is still the same one, milliseconds. */
const SAME_SIGNAL = 1_000;
let signals = 0;
let signalledAt = -SAME_SIGNAL;
/** A second one ends us at once, and all that we have started; a third one does not wait for them. */
const onSignal = (): void => {
  const now = performance.now();
  if (now - signalledAt < SAME_SIGNAL) return;
  signalledAt = now;
  interrupted.abort();
  if (++signals === 1) return;
  const exit = (): never => process.exit(130);
  if (signals === 2) void killAll().finally(exit);
  else exit();
};
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, onSignal);

const password = (): string => randomBytes(6).toString("base64url");
const users = { ada: password(), grace: password() };
let platform: Platform | undefined;
try {
  platform = await startPlatform({
    watertight: await hubBinary({ release: true }),
    data: DATA_DIR,
    redisUrl: REDIS_URL,
    pagePort: PORT ? Number(PORT) : undefined,
    users,
    services: { api: "ada", worker: "ada", redis: "grace", machine: "grace" },
    log: (line) => console.log(line),
  });
  console.log(`
  page   ${platform.pageUrl}
  api    ${platform.apiUrl}
  hub    ${platform.hubUrl}
  redis  ${platform.redisUrl}

  sign in as  ada    ${users.ada}
         or   grace  ${users.grace}

  Ctrl-C ends everything.
`);
  const over = once(interrupted.signal, "abort");
  if (!interrupted.signal.aborted) await Promise.race([over, platform.failed]);
  console.log("stopping");
} catch (error) {
  if (!interrupted.signal.aborted) {
    console.error(error);
    process.exitCode = 1;
  }
} finally {
  await platform?.stop();
  console.log("everything is stopped");
}
