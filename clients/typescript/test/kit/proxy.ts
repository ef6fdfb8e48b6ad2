import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/**
 * | mode | |
 * |---|---|
 * | `pass` | hands everything on |
 * | `refuse` | 502 |
 * | `buffer` | keeps head and body back until the body is whole |
 * | `buffer-body` | hands the head on, and keeps the body back until it is whole |
 * | `freeze` | hands nothing on any more, in either direction, and closes nothing |
 */
export type ProxyMode = "pass" | "refuse" | "buffer" | "buffer-body" | "freeze";

/** Something on the way to a hub. */
export class HubProxy {
  mode: ProxyMode = "pass";
  port = 0;
  /** Requests that are not over yet. */
  open = 0;
  /** Every request: its mode, then its method and path. */
  readonly requests: string[] = [];
  #target: number;
  #cuts: number[] = [];
  #sockets = new Set<Socket>();
  #server = createServer({ keepAlive: false }, (message, response) => this.#serve(message, response));

  constructor(target: number) {
    this.#target = target;
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  static async start(target: number): Promise<HubProxy> {
    const proxy = new HubProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    proxy.port = (proxy.#server.address() as AddressInfo).port;
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  setMode(mode: ProxyMode): void {
    this.mode = mode;
  }

  /** Resets every connection, now. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Resets each of the next streams after so many bytes of its body. */
  cutAfter(bytes: number[]): void {
    this.#cuts.push(...bytes);
  }

  /** Cuts that are still to come. */
  cutsLeft(): number {
    return this.#cuts.length;
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(message: IncomingMessage, response: ServerResponse): void {
    const { mode } = this;
    this.open++;
    response.once("close", () => this.open--);
    this.requests.push(`${mode} ${message.method} ${message.url}`);
    if (mode === "freeze") return;
    if (mode === "refuse") return void response.writeHead(502, { ...CORS, connection: "close" }).end("Bad Gateway");
    const upstream = request(
      { host: "127.0.0.1", port: this.#target, method: message.method, path: message.url, headers: message.headers, agent: false },
      (answer) => this.#answer(mode, answer, response),
    );
    upstream.on("error", () => response.socket?.resetAndDestroy());
    response.on("close", () => upstream.destroy());
    message.pipe(upstream);
  }

  #answer(mode: ProxyMode, answer: IncomingMessage, response: ServerResponse): void {
    const head = (): void => {
      const { "transfer-encoding": _, ...headers } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, { ...headers, connection: "close" });
      response.flushHeaders();
    };
    const kept: Buffer[] = [];
    let left = answer.headers["content-type"] === "text/event-stream" ? (this.#cuts.shift() ?? Infinity) : Infinity;
    if (mode !== "buffer") head();
    answer.on("data", (bytes: Buffer) => {
      if (this.mode === "freeze") return;
      if (mode !== "pass") return void kept.push(bytes);
      const part = bytes.subarray(0, left);
      left -= part.length;
      response.write(part, () => {
        if (left <= 0) response.socket?.resetAndDestroy();
      });
    });
    answer.on("error", () => response.socket?.resetAndDestroy());
    answer.on("end", () => {
      if (mode === "buffer") head();
      response.end(Buffer.concat(kept));
    });
  }
}

const CORS = { "access-control-allow-origin": "*" };
