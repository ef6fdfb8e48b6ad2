// The API as a process: `node --import tsx api/main.ts`. `settings.ts` says what it is told by its environment.
import type { AddressInfo } from "node:net";
import { createApp } from "./app.ts";
import { readApiSettings } from "./settings.ts";
import { connect } from "./store.ts";
import { putUser } from "./users.ts";

const settings = readApiSettings(process.env);
const redis = connect(settings.redisUrl);
for (const [name, password] of settings.users) await putUser(redis, name, password);
const app = await createApp(settings, redis);
await app.listen({ host: "127.0.0.1", port: settings.port });
const { port } = app.server.address() as AddressInfo;
console.log(`api: listening on http://127.0.0.1:${port}`);

const stop = async (): Promise<void> => {
  await app.close();
  redis.disconnect();
};
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void stop());
