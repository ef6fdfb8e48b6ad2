// What an application writes, compiled by TypeScript 5.4 with and without the DOM library. Never run.
import { SSEClient, type Gap, type SSEError } from "watertight";
import { createDevtools } from "watertight/devtools";
import { Origin, publish } from "watertight/publish";
import { stream } from "watertight/stream";
import { createMockSSE } from "watertight/testing";

const origin = new Origin();
const { debug } = createDevtools();
const client = new SSEClient({ url: "https://example.com", parsers: { tick: (text) => Number(text) }, origin, debug });
client.on("tick", async (n, event) => ((await event.own) ? 0 : n));
client.on("tick", (n) => n.toFixed());
client.on("gap", (gap: Gap) => gap.missed);
client.onConnectionChange((state, { error }: { error: SSEError | null }) => [state, error?.kind]);

export async function read(): Promise<void> {
  for await (const { data } of client.events()) void (data as string);
  for await (const { text } of stream("https://example.com")) void text;
  await publish({ baseUrl: "https://example.com", sessionId: "s", origin }, { type: "tick", data: 1 });
  const sse = createMockSSE();
  await sse.emit("tick", 1);
}
