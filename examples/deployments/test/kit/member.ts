import { SSEClient, SSEError, type SSEEvent } from "watertight";
import { expect } from "vitest";
import type { Deployment } from "../../api/deployments.ts";

export type Way = "straight" | "relayed";
export const WAYS: readonly Way[] = ["straight", "relayed"];

/** Somebody who is signed in, as a program: what a page does, without a page. */
export class Member {
  readonly user: string;
  readonly hub: string;
  readonly cookie: string;
  readonly #api: string;

  private constructor(api: string, user: string, hub: string, cookie: string) {
    this.#api = api;
    this.user = user;
    this.hub = hub;
    this.cookie = cookie;
  }

  static async signIn(api: string, user: string, password: string): Promise<Member> {
    const answer = await fetch(`${api}/session`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ user, password }),
    });
    if (!answer.ok) throw new Error(`cannot sign in: ${answer.status} ${await answer.text()}`);
    const { hub } = (await answer.json()) as { hub: string };
    return new Member(api, user, hub, (answer.headers.getSetCookie()[0] ?? "").split(";")[0] ?? "");
  }

  ask(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(this.#api + path, {
      method,
      headers: { cookie: this.cookie, ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  async build(project: string): Promise<string> {
    const answer = await this.ask("POST", "/deployments", { project });
    expect(answer.status).toBe(201);
    return ((await answer.json()) as Deployment).id;
  }

  async deployments(): Promise<readonly Deployment[]> {
    return ((await (await this.ask("GET", "/deployments")).json()) as { deployments: Deployment[] }).deployments;
  }

  /** Resolves when the deployment is over. */
  async over(id: string): Promise<Deployment> {
    const find = async (): Promise<Deployment | undefined> => (await this.deployments()).find((one) => one.id === id);
    await expect.poll(async () => (await find())?.endedAt ?? null, { timeout: 120_000 }).not.toBe(null);
    return (await find()) as Deployment;
  }

  #token: string | undefined;

  /** A token for the hub: the one that there is, unless a fresh one is asked for. */
  async token(refresh = false): Promise<string> {
    if (this.#token && !refresh) return this.#token;
    const answer = await this.ask("POST", "/token");
    const { token, code } = (await answer.json()) as { token?: string; code?: string };
    const { status } = answer;
    // Nobody is signed in any more: no further try mends that. Anything else may pass.
    if (!token) throw new SSEError(status === 401 ? "auth" : "http", `no token: ${status}`, { status, code, retryable: status !== 401 });
    return (this.#token = token);
  }

  signOut(): Promise<Response> {
    return this.ask("DELETE", "/session");
  }

  /** Watches a stream of the platform in one of the two ways. */
  watch(way: Way, path: string): Watch {
    return new Watch(this, way, way === "straight" ? this.hub : this.#api, path);
  }
}

/** A stream that is watched, and all that came. */
export class Watch {
  readonly client: SSEClient;
  readonly events: SSEEvent[] = [];
  readonly comments: string[] = [];
  /** Codes of closing events, and of refusals. */
  readonly codes: string[] = [];
  /** What the closing events said. */
  readonly words: string[] = [];

  constructor(member: Member, way: Way, base: string, path: string) {
    this.client = new SSEClient({
      url: base + path,
      replay: "all",
      keepAlive: false,
      ...(way === "straight" ? { token: ({ refresh }) => member.token(refresh) } : { headers: { cookie: member.cookie } }),
      onComment: (text) => this.comments.push(text.trim()),
    });
    this.client.on("*", (_, event) => {
      if (event.type !== "error") return void this.events.push(event);
      const { code, error } = event.data as { code: string; error: string };
      this.codes.push(code);
      this.words.push(error);
    });
    this.client.onConnectionChange((_, { error }) => {
      if (error?.status && error.code && this.codes.at(-1) !== error.code) this.codes.push(error.code);
    });
    this.client.connect();
  }

  get state(): string {
    return this.client.state;
  }

  /** No further attempt follows. */
  get isOver(): boolean {
    return this.state === "error" || this.state === "closed";
  }

  opens(): Promise<void> {
    return expect.poll(() => this.state).toBe("open");
  }

  of(type: string): SSEEvent[] {
    return this.events.filter((event) => event.type === type);
  }

  /** The lines of a log as they came: number and text. */
  lines(): (readonly [line: number, text: string])[] {
    return this.of("log").map(({ data, text }) => {
      const { line = 0, text: words = text } = data as { line?: number; text?: string };
      return [line, words];
    });
  }

  /** The exit code with which the log ended. */
  end(): number | null | undefined {
    const last = this.of("end").at(-1);
    return last && (last.data as { exitCode: number | null }).exitCode;
  }

  [Symbol.dispose](): void {
    this.client.destroy();
  }
}

/** Numbers from 1 to `last`. */
export const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);
