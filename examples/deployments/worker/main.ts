// The worker as a process: `node --import tsx worker/main.ts`. `api/settings.ts` says what it is told by its environment.
import { readWorkerSettings } from "../api/settings.ts";
import { connectPatiently } from "../api/store.ts";
import { Worker } from "./worker.ts";

const settings = readWorkerSettings(process.env);
const redis = connectPatiently(settings.redisUrl);
const worker = new Worker(settings, redis);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void worker.stop());
// At once, and none of its builds stays behind.
process.once("SIGQUIT", () => {
  worker.kill();
  process.exit(131);
});
console.log(`worker: waiting for builds, ${settings.buildsAtOnce} at once`);
await worker.run();
redis.disconnect();
