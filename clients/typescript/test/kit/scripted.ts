import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";

/** Text as UTF-8, literal bytes, or a stop until the test says `release(name)`. */
export type Chunk = string | Uint8Array | { hex: string } | { wait: string };

/** What one request is answered with. */
export interface Answer {
  status?: number;
  headers?: Record<string, string>;
  body?: Chunk[];
  /** After the body. Default: `end`. */
  then?: "end" | "hang" | "drop";
  /** Not even a head is sent. */
  mute?: boolean;
}

/** A request as it came. */
export interface Request {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** Answers in turn, the last of them for ever; or a function of the request and its number, from 0. */
export type Script = Answer[] | ((request: Request, number: number) => Answer);

const BARRIER = "/--barrier--";

/** A server that says exactly what it is told, and counts who is there. */
export class ScriptedServer {
  script: Script;
  readonly requests: Request[] = [];
  /**
   * Sockets open now over which a request came. Others do not count: after an abort the `fetch` of Node 20 connects
   * once more, says nothing, and hangs up after 4 s.
   */
  open = 0;
  /** The most at once. */
  peak = 0;
  port = 0;
  #server: Server;
  #sockets = new Set<Socket>();
  #busy = new Set<Socket>();
  #responses = new Set<ServerResponse>();
  #waits = new Map<string, (() => void)[]>();

  constructor(script: Script) {
    this.script = script;
    this.#server = createServer({ keepAlive: false }, (request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
    this.#server.on("connection", (socket) => this.#count(socket));
  }

  static async start(script: Script): Promise<ScriptedServer> {
    const server = new ScriptedServer(script);
    await new Promise<void>((resolve) => server.#server.listen(server.port, "127.0.0.1", resolve));
    server.port = (server.#server.address() as AddressInfo).port;
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/stream`;
  }

  /** Writes to everyone who is there. */
  send(chunk: string | Uint8Array): void {
    for (const response of this.#responses) response.write(chunk);
  }

  /** Ends everybody's body. */
  end(): void {
    for (const response of this.#responses) response.end();
  }

  /** Resets everybody's connection. */
  drop(): void {
    for (const response of this.#responses) response.socket?.resetAndDestroy();
  }

  /** Lets the bodies go on that wait for `name`. */
  release(name: string): void {
    for (const go of this.#waits.get(name) ?? []) go();
    this.#waits.delete(name);
  }

  /** Resolves when everything that was on its way to the server before has come. */
  async barrier(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise<void>((resolve, reject) => {
        const socket = connect(this.port, "127.0.0.1", () => socket.write(`GET ${BARRIER} HTTP/1.1\r\nhost: x\r\n\r\n`));
        socket.on("close", () => resolve()).on("error", reject).resume();
      });
    }
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Stops listening, which refuses everyone; `listen` begins again on the same port. */
  async refuse(): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve);
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.port, "127.0.0.1", resolve));
  }

  #count(socket: Socket): void {
    socket.setNoDelay(true);
    socket.on("error", () => {});
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#busy.delete(socket);
      this.open = this.#busy.size;
    });
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    if (message.url === BARRIER) {
      response.writeHead(200, { connection: "close" }).end();
      return;
    }
    if (!this.#busy.has(message.socket)) this.open = this.#busy.add(message.socket).size;
    this.peak = Math.max(this.peak, this.open);
    const request: Request = {
      method: message.method ?? "",
      path: message.url ?? "",
      headers: message.headers as Record<string, string>,
      body: "",
    };
    if (message.method === "OPTIONS") return void response.writeHead(204, { ...CORS, connection: "close" }).end();
    const number = this.requests.push(request) - 1;
    for await (const part of message) request.body += String(part);
    const answer =
      typeof this.script === "function" ? this.script(request, number) : this.script[Math.min(number, this.script.length - 1)];
    if (!answer || answer.mute) return;
    this.#responses.add(response);
    response.once("close", () => this.#responses.delete(response));
    response.writeHead(answer.status ?? 200, { ...CORS, connection: "close", ...answer.headers });
    response.flushHeaders();
    for (const chunk of answer.body ?? []) {
      if (typeof chunk === "object" && "wait" in chunk) await this.#wait(chunk.wait);
      else await write(response, chunk);
    }
    if (answer.then === "drop") response.socket?.resetAndDestroy();
    else if (answer.then !== "hang") response.end();
  }

  #wait(name: string): Promise<void> {
    return new Promise((resolve) => this.#waits.set(name, [...(this.#waits.get(name) ?? []), resolve]));
  }
}

const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "*, authorization, last-event-id",
  "access-control-allow-methods": "*",
  "access-control-expose-headers": "heartbeat-interval, retry-after",
};

/** One piece, handed to the kernel before the next is looked at. */
function write(response: ServerResponse, chunk: string | Uint8Array | { hex: string }): Promise<void> {
  const bytes =
    typeof chunk === "string" || chunk instanceof Uint8Array ? Buffer.from(chunk as string) : Buffer.from(chunk.hex, "hex");
  return new Promise((resolve) => response.write(bytes, () => setImmediate(resolve)));
}
