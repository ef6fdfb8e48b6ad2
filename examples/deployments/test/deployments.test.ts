import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { changeDeployment, createDeployment, giveDeployment, listDeployments, ownerOf, readDeployment } from "../api/deployments.ts";
import { deploymentKey, listKey } from "../api/store.ts";
import { startApi, type Api } from "./kit/api.ts";

// Deployments in Redis, and whose they are, while several change them.

let api: Api;
const of = async (user: string): Promise<string[]> => (await listDeployments(api.redis, user)).map(({ id }) => id);

beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api?.stop());
beforeEach(() => api.redis.flushall());

test("of two who give a deployment away at once one does, and it is in one list", async () => {
  for (let round = 0; round < 20; round++) {
    const { id } = await createDeployment(api.redis, "ada", "site");
    const given = await Promise.all(["grace", "eve"].map((to) => giveDeployment(api.redis, id, "ada", to)));
    expect(given.filter(Boolean).length).toBe(1);
    const owner = given[0] ? "grace" : "eve";
    expect(await ownerOf(api.redis, id)).toBe(owner);
    expect(await readDeployment(api.redis, id)).toMatchObject({ owner, version: 2 });
    const lists = await Promise.all(["ada", "grace", "eve"].map(async (user) => ((await of(user)).includes(id) ? user : "")));
    expect(lists.filter(Boolean)).toEqual([owner]);
  }
});

test("what is somebody else's is in nobody's list but hers, and stays when the oldest of a list go", async () => {
  const { id, createdAt } = await createDeployment(api.redis, "grace", "site");
  await api.redis.zadd(listKey("ada"), createdAt, id);
  expect([await of("ada"), await of("grace")]).toEqual([[], [id]]);
  const first = await createDeployment(api.redis, "ada", "site");
  // Of two of one moment either may be the older one.
  await expect.poll(() => Date.now() / 1_000).toBeGreaterThan(first.createdAt);
  for (let more = 0; more < 500; more++) await createDeployment(api.redis, "ada", "site");
  expect(await api.redis.zcard(listKey("ada"))).toBe(500);
  expect([await readDeployment(api.redis, first.id), await ownerOf(api.redis, first.id)]).toEqual([undefined, null]);
  expect([(await readDeployment(api.redis, id))?.owner, await ownerOf(api.redis, id)]).toEqual(["grace", "grace"]);
});

test("what is not there any more can be neither changed nor given away, and does not come back by it", async () => {
  const { id } = await createDeployment(api.redis, "ada", "site");
  await api.redis.del(deploymentKey(id));
  expect([await changeDeployment(api.redis, id, { state: "running" }), await giveDeployment(api.redis, id, "ada", "grace")]).toEqual([false, false]);
  expect([await api.redis.exists(deploymentKey(id)), await of("grace")]).toEqual([0, []]);
});
