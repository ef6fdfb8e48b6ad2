import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, request as ask } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { ASSETS } from "./assets.ts";
import { POLICY, TYPES } from "./stub.ts";

export interface Front {
  readonly url: string;
  stop(): Promise<void>;
}

/** The page before a real hub, as a proxy would have them at one address. */
export async function startFront(hub: string): Promise<Front> {
  const server = createServer((request, response) => {
    const file = request.url === "/" ? "index.html" : (request.url ?? "").slice(1);
    if (/^(index\.html|dashboard-[0-9a-f]+\.(js|css))$/.test(file)) {
      readFile(join(ASSETS, file)).then(
        (bytes) => response.writeHead(200, { "content-type": TYPES[extname(file)], "content-security-policy": POLICY }).end(bytes),
        (error: Error) => response.destroy(error),
      );
      return;
    }
    const upstream = ask(hub + request.url, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      answer.once("close", () => response.end());
    });
    upstream.once("error", () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
    // The hub has to learn at once that a reader is gone.
    response.once("close", () => upstream.destroy());
    request.pipe(upstream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
