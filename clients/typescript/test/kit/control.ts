import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Hub } from "./hub.ts";
import { HubProxy } from "./proxy.ts";
import { ScriptedServer, type Answer } from "./scripted.ts";

/** One call from a test: a method (or property) of an object, or one of the makers. */
export interface Call {
  id?: number;
  name: string;
  args: unknown[];
}

type Thing = Hub | HubProxy | ScriptedServer;

/**
 * Starts hubs, proxies and scripted servers for tests wherever they run, and ends what they leave behind.
 *
 * @param binary where the hub's program is
 * @param build builds the package, for tests that run it in a process of its own
 */
export async function startControl(
  binary: () => Promise<string>,
  build: () => Promise<void>,
): Promise<{ url: string; stop(): Promise<void> }> {
  const things = new Map<number, Thing>();
  let last = 0;

  const make: Record<string, (...args: never[]) => Promise<Thing>> = {
    hub: async (args: string[]) => Hub.start(await binary(), args),
    proxy: (hub: number) => HubProxy.start((things.get(hub) as Hub).port),
    scripted: (answers: Answer[]) => ScriptedServer.start(answers),
  };

  const answer = async ({ id, name, args }: Call): Promise<unknown> => {
    if (name === "build") return build();
    if (id === undefined) {
      const thing = await make[name]?.(...(args as never[]));
      if (!thing) throw new Error(`nobody makes a ${name}`);
      things.set(++last, thing);
      return { id: last, url: thing.url };
    }
    const thing = things.get(id);
    if (!thing) throw new Error(`there is no thing ${id}`);
    const member = Reflect.get(thing, name, thing) as unknown;
    const result: unknown = typeof member === "function" ? await (member.apply(thing, args) as unknown) : member;
    if (name === "stop") things.delete(id);
    return result;
  };

  const server = createServer((request, response) => {
    const head = { "access-control-allow-origin": "*", "content-type": "application/json", connection: "close" };
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => (body += part));
    request.on("end", () => {
      answer(JSON.parse(body) as Call).then(
        (result) => response.writeHead(200, head).end(JSON.stringify({ result })),
        (error: unknown) => response.writeHead(200, head).end(JSON.stringify({ error: String(error) })),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    stop: async () => {
      await Promise.all([...things.values()].map((thing) => thing.stop()));
      await new Promise((resolve) => (server.close(resolve), server.closeAllConnections()));
    },
  };
}
