import { once } from "node:events";
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { pipeline } from "node:stream";

/** The network of a browser: a proxy that all its requests go through, and that can be cut. */
export interface Network {
  /** For `browser.newContext`. Also requests to loopback go through it. */
  readonly proxy: { readonly server: string; readonly bypass: string };
  /** Breaks off all that is open, and lets nothing through until `mend`. */
  cut(): void;
  mend(): void;
  stop(): Promise<void>;
}

export async function createNetwork(): Promise<Network> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const pass = (request: IncomingMessage, response: ServerResponse): void => {
    const { method, headers, url } = request;
    // As it was asked for: with the whole address.
    const onward = forward(new URL(url ?? ""), { ...(method && { method }), headers, agent: false });
    onward.once("response", (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      pipeline(answer, response, () => {});
    });
    onward.once("error", () => response.destroy());
    response.once("close", () => onward.destroy());
    pipeline(request, onward, () => {});
  };
  const server = createServer(pass);
  server.on("connection", (socket) => {
    if (isCut) return void socket.destroy();
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    proxy: { server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bypass: "<-loopback>" },
    cut,
    mend() {
      isCut = false;
    },
    async stop() {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}
