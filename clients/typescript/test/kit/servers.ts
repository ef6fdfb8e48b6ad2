import { expect } from "vitest";
import type { Answer, Request, Script, ScriptedServer } from "./scripted.ts";

const servers: ScriptedServer[] = [];

/** A scripted server in this process, for tests in Node. */
export async function serve(...script: Answer[]): Promise<ScriptedServer> {
  return serveWith(script);
}

/** The same, answering by a function. */
export async function serveWith(script: Script): Promise<ScriptedServer> {
  const { ScriptedServer } = await import("./scripted.ts");
  const server = await ScriptedServer.start(script);
  servers.push(server);
  return server;
}

/** A server that wants a bearer token that is in `tokens`. */
export async function serveTokens(tokens: Set<string>, answer: Answer): Promise<ScriptedServer> {
  return serveWith((request: Request) => {
    const token = /^Bearer (.*)$/.exec(request.headers["authorization"] ?? "")?.[1];
    return tokens.has(token ?? "") ? answer : { status: 401 };
  });
}

/** Every server has lost all its connections, and ends. Called after each test. */
export async function stopServers(): Promise<void> {
  const all = servers.splice(0);
  try {
    for (const server of all) await expect.poll(() => server.open, { message: "open sockets" }).toBe(0);
  } finally {
    await Promise.all(all.map((server) => server.stop()));
  }
}
