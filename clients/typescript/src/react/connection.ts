"use client";
import { SSEClient, type SSEClientOptions, type Unsubscribe } from "../index.ts";
import type { UseSSEOptions } from "./types.ts";

/** What a connection knows of each component that shares it. */
export interface Member {
  readonly options: UseSSEOptions<any>;
  /** The last event id that it could have had; empty if it has none to resume from. */
  readonly cursor: string;
  /** Changes over, between two events. */
  move(to: Connection): void;
}

/** A client, and who shares it. It lives as long as somebody does, and a microtask longer. */
export interface Connection {
  readonly key: string;
  readonly client: SSEClient<any>;
  readonly members: Set<Member>;
  /** The client's options: it reads them for each attempt, we keep them current. */
  readonly live: Record<string, unknown>;
  unwatch?: Unsubscribe | undefined;
}

/**
 * key -> connections. Mostly one; one more for a short while when somebody comes back to a stream that others followed
 * meanwhile (see `join`). Filled by effects only, so that nothing is shared between requests of a server.
 */
export const registry = new Map<string, Set<Connection>>();

/**
 * The connection of a stream, new if there is none.
 *
 * Who has an id to resume from and finds the connection elsewhere gets one of its own, from its own place. As soon as
 * both are at the same event, it moves over: nothing is missed, nothing comes twice, nobody else notices.
 */
export function join(key: string, member: Member): Connection {
  const connections = registry.get(key) ?? new Set();
  registry.set(key, connections);
  let connection = [...connections].find(({ client }) => !member.cursor || client.lastEventId === member.cursor);
  if (connection) {
    const [first] = connection.members;
    if (first) warnOfDifferences(key, first.options, member.options);
    connection.members.add(member);
    refresh(connection);
  } else {
    const members = new Set([member]);
    const live = {};
    refresh({ members, live });
    connection = { key, members, live, client: new SSEClient(live) };
    connection.client.lastEventId = member.cursor;
    connections.add(connection);
    watch(connections);
  }
  return connection;
}

/** Gives a member's share back. The connection may close in a microtask, for who comes back in the same commit. */
export function leave(connection: Connection, member: Member): void {
  const { members, key, client } = connection;
  members.delete(member);
  refresh(connection);
  // No timer, and not `queueMicrotask`: test runners that fake those must not keep connections open.
  void Promise.resolve().then(() => {
    const connections = registry.get(key);
    if (members.size || !connections?.delete(connection)) return;
    client.destroy();
    if (connections.size) watch(connections);
    else registry.delete(key);
  });
}

/** Takes over the options of the first member as they are now. */
export function refresh({ members, live }: Pick<Connection, "members" | "live">): void {
  const [first] = members;
  if (!first) return;
  for (const name in live) delete live[name];
  const everybodys = (name: "onError" | "onComment"): unknown =>
    [...members].some(({ options }) => options[name]) &&
    ((told: never) => members.forEach(({ options }) => options[name]?.(told)));
  Object.assign(live, first.options, {
    signal: undefined,
    onError: everybodys("onError"),
    onComment: everybodys("onComment"),
  } satisfies Record<string, unknown>);
}

/** While there are several connections, each event may be the one at which they meet. */
function watch(connections: Set<Connection>): void {
  for (const connection of connections) {
    connection.unwatch?.();
    // In a microtask: this event has still to reach everybody.
    connection.unwatch =
      connections.size > 1
        ? connection.client.on("*", () => void Promise.resolve().then(() => merge(connections)))
        : undefined;
  }
}

function merge([first, ...others]: Iterable<Connection>): void {
  for (const { client, members } of others) {
    if (!first?.client.isConnected || client.lastEventId !== first.client.lastEventId) continue;
    for (const member of members) member.move(first);
  }
}

declare const process: { env: { NODE_ENV?: string } };

function warnOfDifferences(key: string, first: UseSSEOptions<any>, second: UseSSEOptions<any>): void {
  try {
    // Replaced by bundlers as it stands; where there is neither a bundler nor a process it throws.
    if (process.env.NODE_ENV === "production") return;
  } catch {
    return;
  }
}
