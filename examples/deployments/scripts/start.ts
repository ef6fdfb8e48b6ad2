// `npm start`: the whole platform. Ctrl-C ends it.
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
import { buildHub } from "../../react-page/scripts/hub.mjs";
import { startPlatform, type Platform } from "./platform.ts";

const { REDIS_URL, WATERTIGHT_BIN, PORT, DATA_DIR = fileURLToPath(new URL("../data", import.meta.url)) } = process.env;

const interrupted = new AbortController();
// A second one ends us at once, as it would without us.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => interrupted.abort());

const password = (): string => randomBytes(6).toString("base64url");
const users = { ada: password(), grace: password() };
let platform: Platform | undefined;
try {
  platform = await startPlatform({
    watertight: WATERTIGHT_BIN ?? (await buildHub({ release: true })),
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
