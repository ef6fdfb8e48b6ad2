import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

/** What a hub counts as open (`GET /stats`, `ledger`). */
type HubLedger = Record<"request" | "subscription" | "source", { live: number }>;

/** Settings of the caller's own are none of a test's hub. */
const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("WATERTIGHT_")));

/** A real hub, as a process. */
export class Hub {
  port = 0;
  #binary: string;
  #args: string[];
  #child: ChildProcess | undefined;

  constructor(binary: string, args: string[]) {
    this.#binary = binary;
    this.#args = args;
  }

  static async start(binary: string, args: string[]): Promise<Hub> {
    const hub = new Hub(binary, args);
    await hub.restart();
    return hub;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Ends it without a word, as a power cut would. */
  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  /** Asks it to end, which it does with a closing event to everyone. */
  shutDown(): Promise<void> {
    return this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  /** Begins again, on the same port. */
  async restart(): Promise<void> {
    await this.kill();
    for (let tries = 0; ; tries++) {
      try {
        return await this.#launch();
      } catch (error) {
        // Its port may be taken for a while.
        if (tries >= 40) throw error;
        await sleep(250);
      }
    }
  }

  async #launch(): Promise<void> {
    const child = spawn(this.#binary, ["serve", "--listen", `127.0.0.1:${this.port}`, "--log-level", "warn", ...this.#args], {
      stdio: ["ignore", "pipe", "inherit"],
      env: clean,
    });
    const lines = createInterface(child.stdout);
    const line = await new Promise<string>((resolve, reject) => {
      lines.once("line", resolve);
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`the hub ended with ${code}`)));
    });
    lines.on("line", () => {});
    const port = /^watertight: listening on http:\/\/127\.0\.0\.1:(\d+)$/.exec(line)?.[1];
    if (!port) throw new Error(`the hub said ${line}`);
    this.#child = child;
    this.port = Number(port);
  }

  /** Publishes texts as events of one type; resolves to their ids. */
  async publish(session: string, texts: string[], type = "message"): Promise<string[]> {
    const body = texts.map((data) => JSON.stringify({ type, data })).join("\n");
    const answer = await this.#call("POST", `/sessions/${session}/events`, body, "application/x-ndjson");
    return (JSON.parse(answer) as { ids: string[] }).ids;
  }

  /** Ends a session. */
  async endSession(session: string): Promise<void> {
    await this.#call("DELETE", `/sessions/${session}`);
  }

  async subscribers(): Promise<number> {
    return (JSON.parse(await this.#call("GET", "/stats")) as { totalSubscribers: number }).totalSubscribers;
  }

  /** Open streams, long-polls and other requests, this question not counted. */
  async open(): Promise<number> {
    if (!this.#child) return 0;
    const { ledger } = JSON.parse(await this.#call("GET", "/stats")) as { ledger: HubLedger };
    return ledger.request.live - 1 + ledger.subscription.live + ledger.source.live;
  }

  stop(): Promise<void> {
    return this.kill();
  }

  #call(method: string, path: string, body?: string, type = "application/json"): Promise<string> {
    return new Promise((resolve, reject) => {
      const call = request(
        { host: "127.0.0.1", port: this.port, method, path, agent: false, headers: body ? { "content-type": type } : {} },
        (response) => {
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (part: string) => (text += part)).on("error", reject);
          response.on("end", () => {
            if ((response.statusCode ?? 500) < 300) resolve(text);
            else reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`));
          });
        },
      );
      call.on("error", reject);
      call.end(body);
    });
  }
}
