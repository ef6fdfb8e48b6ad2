import { afterEach, expect, it } from "vitest";
import { createMemoryHub, expectNoLeaks, type MemoryHub } from "../../src/testing/index.ts";
import { startHub } from "../kit/remote.ts";

// The hub in memory says what the real one says, byte for byte, but for the epoch and the jitter of `retry:`.

type Ask = (path: string, headers: Record<string, string>) => Promise<string>;

/** What comes until as many events are there as are expected, then hangs up. */
async function read(response: Response, events: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  if (response.headers.get("content-type") === "application/json") return response.text();
  const head = `${response.status} ${response.headers.get("content-type")} heartbeat ${response.headers.get("heartbeat-interval")}\n`;
  const reader = response.body?.getReader();
  while (reader && text.split("\n\n").length < events + 2) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  await reader?.cancel();
  return head + text;
}

function normal(text: string, epoch: string): string {
  return text
    .replaceAll(epoch, "EPOCH")
    .replace(/retry: \d+/g, "retry: N")
    .replace(/[0-9a-hjkmnp-tv-z]{12}-/g, "EPOCH-")
    .replace(/"created_at":\d{10}(\.\d{1,3})?(?=\})/g, '"created_at":SECONDS');
}

const published: [string, unknown][] = [
  ["message", "text"],
  ["tick", { n: 1, text: "é☃" }],
  ["tick", null],
  ["list", [1, "a\nb"]],
];

const cases: [string, number, (ids: string[]) => [string, Record<string, string>]][] = [
  ["from now on", 0, () => ["", {}]],
  ["replay=all", 4, () => ["?replay=all", {}]],
  ["replay=2", 2, () => ["?replay=2", {}]],
  ["Last-Event-ID", 3, ([first = ""]) => ["", { "last-event-id": first }]],
  ["the newest id", 0, (ids) => ["", { "last-event-id": ids.at(-1) ?? "" }]],
  ["the position before all", 4, ([first = ""]) => [`?last_event_id=${first.replace(/\d+$/, "0")}`, {}]],
  ["an id of another epoch", 5, () => ["", { "last-event-id": "zzzzzzzzzzzz-7" }]],
  ["an id of the future", 5, ([first = ""]) => [`?lastEventId=${first}99`, {}]],
  ["no id at all", 5, () => ["?after=nonsense", {}]],
  ["a poll from the first", 0, ([first = ""]) => [`?after=${first}&wait=0`, { accept: "application/json" }]],
  ["a poll with a limit", 0, ([first = ""]) => [`?after=${first}&limit=1`, { accept: "application/json" }]],
  ["a poll with a gap", 0, () => ["?after=zzzzzzzzzzzz-7", { accept: "application/json" }]],
  ["a poll from now on", 0, () => ["?wait=0", { accept: "application/json" }]],
  ["a poll that replays", 0, () => ["?replay=2&wait=0", { accept: "application/json" }]],
];

afterEach(() => expectNoLeaks());

it.each(cases)("%s", async (_, events, request) => {
  const real = await startHub();
  const memory: MemoryHub = createMemoryHub();
  const realIds: string[] = [];
  const memoryIds: string[] = [];
  for (const [type, data] of published) {
    realIds.push(await publish(real.url, type, data));
    memoryIds.push(memory.publish("s", type, data));
  }
  const answers: string[] = [];
  const hubs: [Ask, string[]][] = [
    [async (path, headers) => read(await fetch(`${real.url}${path}`, { headers }), events), realIds],
    [async (path, headers) => read(await memory.fetch(path, { headers }), events), memoryIds],
  ];
  for (const [ask, ids] of hubs) {
    const [query, headers] = request(ids);
    answers.push(normal(await ask(`/sessions/s/events${query}`, headers), ids[0]?.slice(0, 12) ?? ""));
  }
  expect(answers[1]).toBe(answers[0]);
  expect(memory.connections).toBe(0);
});

async function publish(url: string, type: string, data: unknown): Promise<string> {
  const response = await fetch(`${url}/sessions/s/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ type, data }),
  });
  return ((await response.json()) as { id: string }).id;
}
