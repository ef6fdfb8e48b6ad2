import { SSEClient } from "watertight";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Deployment } from "../api/deployments.ts";
import { merge, replace, type Rows, type Snapshot } from "../src/deployments.ts";
import { WAYS, type Member, type Way } from "./kit/member.ts";
import { setStage, type Stage } from "./kit/stage.ts";

// The list of deployments: a snapshot, and a stream from where it stood before the snapshot.

let stage: Stage;
let ada: Member;

beforeAll(async () => {
  stage = await setStage();
  ada = await stage.member("ada");
});
afterAll(() => stage?.stop());

const snapshotOf = async (): Promise<Snapshot> => (await (await ada.ask("GET", "/deployments")).json()) as Snapshot;

/** A list as a page keeps it. */
async function list(way: Way): Promise<{ rows: () => Rows; types: readonly string[]; stop: () => void }> {
  let snapshot!: Snapshot;
  // The API goes without the place if the hub takes long to say it.
  await expect.poll(async () => (snapshot = await snapshotOf()).lastEventId).toMatch(/^\S+-\d+$/);
  let rows = replace(new Map(), new Map(), "ada", snapshot);
  const types: string[] = [];
  const client = new SSEClient({
    url: way === "straight" ? `${ada.hub}/sessions/deployments-of-ada/events` : `${stage.platform.apiUrl}/deployments/stream`,
    lastEventId: snapshot.lastEventId ?? "",
    keepAlive: false,
    ...(way === "straight" ? { token: ({ refresh }) => ada.token(refresh) } : { headers: { cookie: ada.cookie } }),
  });
  client.on("*", (data, { type }) => {
    types.push(type);
    if (type === "deployment") rows = merge(rows, "ada", [data as Deployment]);
  });
  client.connect();
  return { rows: () => rows, types, stop: () => client.destroy() };
}

test.each(WAYS)("%s: whenever a page begins, in the middle of many changes, it misses none of them", async (way) => {
  const known = (await snapshotOf()).deployments.length;
  const lists: Awaited<ReturnType<typeof list>>[] = [];
  const ids: string[] = [];
  for (let n = 0; n < 12; n++) {
    // Each begins while the builds before it begin and end.
    const [id, one] = await Promise.all([ada.build("pages"), list(way)]);
    ids.push(id);
    lists.push(one);
  }
  for (const { rows, types } of lists) {
    await expect.poll(() => ids.map((id) => rows().get(id)?.state)).toEqual(ids.map(() => "succeeded"));
    expect([rows().size, types.filter((type) => type !== "deployment")]).toEqual([known + ids.length, []]);
  }
  // The last one did not need to hear again of what was over by then: its stream began at its snapshot.
  expect(lists.at(-1)?.types.length).toBeLessThan(lists[0]?.types.length ?? 0);
  for (const { stop } of lists) stop();
  await stage.expectNothingLeft();
});

test("without a hub there is a list, and no place where its stream stood", async () => {
  await stage.platform.programs.hub.kill();
  const { deployments, lastEventId } = await snapshotOf();
  expect([deployments.length, lastEventId]).toEqual([24, null]);
  await stage.platform.programs.hub.start();
  await expect.poll(async () => (await snapshotOf()).lastEventId).toMatch(/^\S+-0$/);
});
