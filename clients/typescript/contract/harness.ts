import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { expect } from "vitest";

/** What a service reports. */
export interface Message {
  kind: "event" | "comment" | "error";
  event?: { type: string; data: string; id: string };
  comment?: string;
  error?: string;
}

/** What a service is asked for. */
export type Parameters = Record<string, unknown>;

/** One request for a stream, answered as the test says. */
export class Connection {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  #response: ServerResponse;

  constructor(request: IncomingMessage, body: string, response: ServerResponse) {
    this.method = request.method ?? "";
    this.path = request.url ?? "";
    this.headers = request.headers;
    this.body = body;
    this.#response = response;
  }

  /** Answers with something else than a stream. */
  refuse(status: number, headers: Record<string, string> = {}): void {
    this.#response.writeHead(status, { connection: "close", ...headers }).end();
  }

  open(): this {
    if (!this.#response.headersSent) {
      this.#response.writeHead(200, { "content-type": "text/event-stream", connection: "close" });
      this.#response.flushHeaders();
    }
    return this;
  }

  send(...chunks: (string | Uint8Array)[]): void {
    this.open();
    for (const chunk of chunks) this.#response.write(chunk);
  }

  /** Each chunk as a packet of its own, as far as the kernel lets us. */
  async trickle(...chunks: (string | Uint8Array)[]): Promise<void> {
    this.open();
    for (const chunk of chunks) {
      await new Promise((resolve) => this.#response.write(chunk, () => setTimeout(resolve, 10)));
    }
  }

  end(): void {
    this.open();
    this.#response.end();
  }

  get isOpen(): boolean {
    return !this.#response.destroyed;
  }
}

/** The other side of one client: its streams and its reports. */
export class Client {
  readonly messages: Message[] = [];
  readonly connections: Connection[] = [];
  readonly streamUrl: string;
  location = "";
  #taken = 0;
  #seen = 0;

  constructor(streamUrl: string) {
    this.streamUrl = streamUrl;
  }

  /** The next report. */
  async message(): Promise<Message> {
    await expect.poll(() => this.messages.length, { message: "reports" }).toBeGreaterThan(this.#seen);
    return this.messages[this.#seen++] as Message;
  }

  /** The next report is an event; its type, data and id. */
  async event(): Promise<[type: string, data: string, id: string]> {
    const message = await this.message();
    expect(message.kind, JSON.stringify(message)).toBe("event");
    const { type, data, id } = message.event ?? { type: "", data: "", id: "" };
    return [type, data, id];
  }

  async data(): Promise<string> {
    return (await this.event())[1];
  }

  async comment(): Promise<string | undefined> {
    const message = await this.message();
    expect(message.kind, JSON.stringify(message)).toBe("comment");
    return message.comment;
  }

  async error(): Promise<void> {
    expect((await this.message()).kind).toBe("error");
  }

  /** The next request for the stream. */
  async connection(): Promise<Connection> {
    await expect.poll(() => this.connections.length, { message: "connections" }).toBeGreaterThan(this.#taken);
    return this.connections[this.#taken++] as Connection;
  }

  /** The next request that comes when the client has lost its connection; what it says of that is passed over. */
  async comesBack(): Promise<Connection> {
    const connection = await this.connection();
    while (this.messages[this.#seen]?.kind === "error") this.#seen++;
    return connection;
  }

  get unread(): number {
    return this.messages.length - this.#seen;
  }
}

/** A contract service as a process, and the streams and callbacks that it talks to. */
export class Harness {
  #service: ChildProcess | undefined;
  #url = "";
  #clients: Client[] = [];
  #server = createServer((request, response) => {
    this.#serve(request, response).catch(() => response.destroy());
  });

  /** Starts a service, which says on its first line where it listens. */
  async start(command: string, ...args: string[]): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const service = spawn(command, args, { env: { ...process.env, PORT: "0" }, stdio: ["ignore", "pipe", "inherit"] });
    this.#service = service;
    const lines = createInterface(service.stdout);
    const line = await new Promise<string>((resolve, reject) => {
      lines.once("line", resolve);
      service.once("error", reject);
      service.once("exit", (code) => reject(new Error(`the service ended with ${code}`)));
    });
    lines.on("line", () => {});
    this.#url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0] ?? "";
    expect(this.#url, line).not.toBe("");
  }

  call(method: string, path: string, body?: unknown): Promise<Response> {
    const url = new URL(path, this.#url);
    return fetch(url, { method, body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body) });
  }

  /** Has the service make a client. */
  async client(parameters: Parameters = {}): Promise<Client> {
    const { port } = this.#server.address() as AddressInfo;
    const number = this.#clients.length;
    const base = `http://127.0.0.1:${port}`;
    const client = new Client(`${base}/stream/${number}`);
    this.#clients.push(client);
    const answer = await this.call("POST", "/", {
      tag: expect.getState().currentTestName,
      streamUrl: client.streamUrl,
      callbackUrl: `${base}/callback/${number}`,
      initialDelayMs: 0,
      ...parameters,
    });
    expect(answer.status).toBe(201);
    client.location = answer.headers.get("location") ?? "";
    expect(client.location).toMatch(/^http:\/\//);
    return client;
  }

  restart(client: Client): Promise<Response> {
    return this.call("POST", client.location, { command: "restart" });
  }

  /** Ends all clients: their streams are closed, and their URLs are gone. */
  async endClients(): Promise<void> {
    for (const client of this.#clients) {
      const { location, connections } = client;
      if (!location) continue;
      client.location = "";
      const first = await this.call("DELETE", location);
      expect([200, 202, 204, 404]).toContain(first.status);
      expect((await this.call("DELETE", location)).status).toBe(404);
      await expect.poll(() => connections.filter(({ isOpen }) => isOpen).length, { message: "open streams" }).toBe(0);
    }
  }

  /** Asks the service to quit; resolves to its exit code. */
  async stop(): Promise<number | null> {
    const service = this.#service;
    if (!service) return null;
    const gone = service.exitCode === null ? once(service, "exit") : Promise.resolve([service.exitCode]);
    const answer = await this.call("DELETE", "/");
    expect(answer.status).toBe(204);
    const [code] = (await gone) as [number | null];
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    return code;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    request.setEncoding("utf8");
    for await (const part of request) body += String(part);
    const [, kind, number, count] = (request.url ?? "").split("/");
    const client = this.#clients[Number(number)];
    if (!client) return void response.writeHead(404).end();
    if (kind === "stream") {
      client.connections.push(new Connection(request, body, response));
      return;
    }
    // Strictly in order: the next comes when the one before was taken.
    expect(request.method).toBe("POST");
    if (Number(count) !== client.messages.length + 1) {
      client.messages.push({ kind: "error", error: `callback ${count} came as number ${client.messages.length + 1}` });
    }
    client.messages.push(JSON.parse(body) as Message);
    response.writeHead(202).end();
  }
}
