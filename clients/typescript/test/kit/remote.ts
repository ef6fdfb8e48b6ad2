import { expect, inject } from "vitest";
import type { Call } from "./control.ts";
import type { Hub } from "./hub.ts";
import type { HubProxy } from "./proxy.ts";
import type { Answer, ScriptedServer } from "./scripted.ts";

/** A thing in the control server: methods and properties alike are calls. */
type Remote<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : () => Promise<T[K]>;
};

export type RemoteHub = Remote<Omit<Hub, "url">> & { readonly url: string };
export type RemoteProxy = Remote<Omit<HubProxy, "url">> & { readonly url: string };
export type RemoteScripted = Remote<Omit<ScriptedServer, "url" | "script">> & { readonly url: string };

/** What tests have started and what has to be empty when they end. */
const started: { open(): Promise<number>; stop(): Promise<void> }[] = [];

async function call<T>(body: Call): Promise<T> {
  const response = await fetch(inject("control"), { method: "POST", body: JSON.stringify(body) });
  const { result, error } = (await response.json()) as { result: T; error?: string };
  if (error) throw new Error(error);
  return result;
}

async function start<T>(name: string, ...args: unknown[]): Promise<T & { id: number }> {
  const { id, url } = await call<{ id: number; url: string }>({ name, args });
  const remote = new Proxy({} as Record<string, unknown>, {
    get: (_, member) => {
      if (member === "id") return id;
      if (member === "url") return url;
      if (typeof member !== "string" || member === "then") return undefined;
      return (...more: unknown[]) => call({ id, name: member, args: more });
    },
  });
  started.push(remote as never);
  return remote as T & { id: number };
}

/** Makes sure that `dist` is what the sources say. */
export function buildPackage(): Promise<void> {
  return call({ name: "build", args: [] });
}

/** A real hub of this test's own, with quick reconnects; in a browser it knows the page's origin unless told another. */
export function startHub(...args: string[]): Promise<RemoteHub & { id: number }> {
  const isPage = "location" in globalThis && !args.includes("--cors-origins");
  return start<RemoteHub>("hub", ["--retry", "100ms", ...(isPage ? ["--cors-origins", location.origin] : []), ...args]);
}

/** A proxy in front of a hub. */
export function startProxy(hub: { id: number }): Promise<RemoteProxy & { id: number }> {
  return start<RemoteProxy>("proxy", hub.id);
}

/** A scripted server for a test in a browser. */
export function startScripted(...answers: Answer[]): Promise<RemoteScripted & { id: number }> {
  return start<RemoteScripted>("scripted", answers);
}

/** Everything that was started is empty, and ends. Called after each test. */
export async function stopAll(): Promise<void> {
  const things = started.splice(0);
  try {
    for (const thing of things) await expect.poll(() => thing.open(), { message: "open connections" }).toBe(0);
  } finally {
    await Promise.all(things.map((thing) => thing.stop()));
  }
}
