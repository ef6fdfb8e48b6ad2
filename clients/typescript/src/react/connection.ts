"use client";
import { SSEClient, type SSEError, type Unsubscribe } from "../index.ts";
import type { UseSSEOptions } from "./types.ts";

declare const process: { env: { NODE_ENV?: string } };

/** What a connection knows of each component that shares it. */
export interface Member {
  options: UseSSEOptions<any>;
  /** The stream that `options` mean: from a commit to its effects another one than that of the connection. */
  key?: string | undefined;
  /** The last event id that it could have had; empty if it has none to resume from. */
  cursor: string;
  /** Changes over, between two events. */
  move(to: Connection): void;
}

/** A client, and who shares it. It lives as long as somebody does, and a microtask longer. */
export interface Connection {
  readonly key: string;
  readonly client: SSEClient<any>;
  readonly members: Set<Member>;
  /** All connections of the stream. */
  readonly peers: Set<Connection>;
  /** The client's options: it reads them for each attempt, we keep them current. */
  readonly live: Record<string, unknown>;
  /** Ends the watch for the event at which this connection meets another one of its stream. */
  unwatch?: Unsubscribe | undefined;
  /** Development was told that its members differ. */
  warned?: boolean;
}

/**
 * key -> connections. Mostly one; one more for a short while when somebody comes back to a stream that others followed
 * meanwhile (see `find`). Filled by effects only, so that nothing is shared between requests of a server.
 */
export const registry = new Map<string, Set<Connection>>();

/**
 * The connection of a stream, new if there is none.
 *
 * Who has an id to resume from and finds the connection elsewhere gets one of its own, from its own place. As soon as
 * both are at the same event, it moves over: nothing is missed, nothing comes twice, nobody else notices.
 */
export function find(key: string, member: Member): Connection {
  const peers = registry.get(key) ?? new Set();
  let connection = [...peers].find(({ client }) => !member.cursor || client.lastEventId === member.cursor);
  if (!connection) {
    const members = new Set([member]);
    const live = {};
    refresh({ key, members, live });
    connection = { key, peers, members, live, client: new SSEClient(live) };
    connection.client.lastEventId = member.cursor;
    registry.set(key, peers.add(connection));
    watch(peers);
  }
  try {
    // Bundlers replace this as it stands, and the warning is gone; in a browser without one it throws.
    if (process.env.NODE_ENV !== "production") warnOfDifferences(connection, member);
  } catch {
    // No process: nobody develops here.
  }
  return connection;
}

/** Gives a member's share back. The connection may close in a microtask, for who comes back in the same commit. */
export function leave(connection: Connection, member: Member): void {
  const { key, peers, members, client } = connection;
  members.delete(member);
  refresh(connection);
  // No timer, and not `queueMicrotask`: test runners that fake those must not keep connections open.
  void Promise.resolve().then(() => {
    if (members.size || !peers.delete(connection)) return;
    client.destroy();
    if (peers.size) watch(peers);
    else registry.delete(key);
  });
}

/** Takes over the options of the first member as they are now: of the first one that still means this stream. */
export function refresh({ key, members, live }: Pick<Connection, "key" | "members" | "live">): void {
  const first = [...members].find((member) => member.key === key);
  if (!first) return;
  for (const name in live) delete live[name];
  Object.assign(live, first.options, { signal: undefined });
  // A provider's is everybody's: once is enough.
  const all = <K extends "onError" | "onComment">(name: K): NonNullable<UseSSEOptions[K]>[] =>
    [...new Set([...members].map(({ options }) => options[name]))].filter((tell) => !!tell);
  // Always there, because a client keeps what it was made with: who has none today may have one tomorrow.
  live["onError"] = (error: SSEError) => {
    const tells = all("onError");
    tells.forEach((tell) => tell(error));
    // Nobody listens: the client reports what its `onError` throws, as it would report this without one.
    if (!tells[0] && /handler|parse/.test(error.kind)) throw error.cause;
  };
  if (all("onComment")[0]) live["onComment"] = (text: string) => all("onComment").forEach((tell) => tell(text));
}

/** While there are several connections, each event may be the one at which they meet. */
function watch(peers: Set<Connection>): void {
  for (const connection of peers) {
    connection.unwatch?.();
    // In a microtask: this event has still to reach everybody.
    connection.unwatch =
      peers.size > 1 ? connection.client.on("*", () => void Promise.resolve().then(() => merge(peers))) : undefined;
  }
}

function merge([first, ...others]: Iterable<Connection>): void {
  for (const { client, members } of others) {
    if (first?.client.isConnected && client.lastEventId === first.client.lastEventId) {
      members.forEach((member) => member.move(first));
    }
  }
}

/** Once per connection, in development. Names options, never their values: a token may be among them. */
function warnOfDifferences(connection: Connection, { options }: Member): void {
  const [first] = connection.members;
  if (connection.warned || !first) return;
  const theirs: Record<string, unknown> = { ...first.options };
  const ours: Record<string, unknown> = { ...options };
  const names = Object.keys({ ...theirs, ...ours }).filter(
    (name) =>
      !/^(enabled|lastEventId)$/.test(name) &&
      [theirs[name], ours[name]].every((value) => !/object|function/.test(typeof value)) &&
      theirs[name] !== ours[name],
  );
  if (!names.length) return;
  connection.warned = true;
  console.warn(
    `watertight: components that share ${connection.key} differ in ${names.join(", ")}; ` +
      "the first one counts. Another `key` sets them apart.",
  );
}
