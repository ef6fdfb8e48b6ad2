import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Something that speaks as a hub does, and says what a test wants: also what a real one says rarely, or not yet. */
export interface StandIn {
  readonly url: string;
  /** What it was asked for, the newest last: path and query, and the id to resume after. */
  readonly asked: readonly { readonly url: string; readonly after: string | undefined }[];
  /** Streams that are open. */
  streams(): number;
  /** An event to all streams whose path ends like this. It has an id, and is kept for those who resume. */
  send(path: string, type: string, data: unknown): void;
  comment(path: string, text: string): void;
  /** A comment with which each stream begins from now on. */
  greet(text: string): void;
  /** Breaks all streams off. `refuse` until the next `accept`. */
  drop(options?: { refuse?: boolean }): void;
  accept(): void;
  /** Forgets everything: the next ids are of another epoch, and whoever resumes is told a gap. */
  restart(): void;
  stop(): Promise<void>;
}

interface Kept {
  readonly path: string;
  readonly n: number;
  readonly block: string;
}

export async function startStandIn(): Promise<StandIn> {
  const open = new Map<ServerResponse, string>();
  const asked: { url: string; after: string | undefined }[] = [];
  let kept: Kept[] = [];
  let epochs = 1;
  let n = 0;
  let refuses = false;
  let greeting = "";
  const epoch = (): string => `epoch${String(epochs).padStart(7, "0")}`;

  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { pathname } = new URL(request.url ?? "", "http://stand-in");
    const after = request.headers["last-event-id"] as string | undefined;
    asked.push({ url: request.url ?? "", after });
    if (refuses) return void response.writeHead(503, { "content-type": "text/plain" }).end("away");
    if (!pathname.endsWith("/stream")) return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": "text/event-stream", "heartbeat-interval": "15", "cache-control": "no-store" });
    const [was, at = "0"] = (after ?? "").split("-");
    const isKnown = was === epoch();
    response.write(`: watertight\nretry: 100\nid: ${isKnown ? after : `${epoch()}-0`}\n\n${greeting}`);
    if (after && !isKnown) {
      const gap = { from: after, to: `${epoch()}-0`, missed: null, reason: "epoch" };
      response.write(`id: ${epoch()}-0\nevent: gap\ndata: ${JSON.stringify(gap)}\n\n`);
    }
    for (const event of kept) if (event.path === pathname && (!isKnown || event.n > Number(at))) response.write(event.block);
    open.set(response, pathname);
    response.once("close", () => open.delete(response));
  };
  const server = createServer(answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const write = (path: string, text: string): void => {
    for (const [response, of] of open) if (of === path) response.write(text);
  };
  const drop: StandIn["drop"] = ({ refuse = false } = {}) => {
    refuses = refuse;
    for (const response of open.keys()) response.destroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    streams: () => open.size,
    send(path, type, data) {
      n++;
      const text = typeof data === "string" ? data : JSON.stringify(data);
      const lines = text.split("\n").map((line) => `data: ${line}\n`);
      const block = `id: ${epoch()}-${n}\nevent: ${type}\n${lines.join("")}\n`;
      kept.push({ path, n, block });
      write(path, block);
    },
    comment: (path, text) => write(path, `: ${text}\n\n`),
    greet(text) {
      greeting = `: ${text}\n\n`;
    },
    drop,
    accept() {
      refuses = false;
    },
    restart() {
      epochs++;
      kept = [];
      drop();
    },
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
