import { SSEClient, type Unsubscribe } from "../index.ts";
import { Held } from "./held.ts";
import type { StreamOptions } from "./options.ts";

declare const process: { env: { NODE_ENV?: string } };

/** How long a connection stays when the last member is gone, milliseconds: a route change takes less. */
const LINGER = 1_000;

/** What a connection knows of each share of it. */
export interface Member {
  options: StreamOptions<any>;
  /** The stream that `options` mean: from a commit to its effects another one than that of the connection. */
  key?: string | undefined;
  /** The last event id that it could have had; empty if it has none to resume from. */
  cursor: string;
  /** Takes what was held while nobody was there, and listens from now on. */
  flush(held: Held): void;
  /** Changes over, between two events. */
  move(to: Connection): void;
}

/** A client, and who shares it. It lives as long as somebody does, and `linger` longer. */
export interface Connection {
  readonly key: string;
  readonly client: SSEClient<any>;
  readonly members: Set<Member>;
  /** All connections of the stream. */
  readonly peers: Set<Connection>;
  /** The client's options: it reads them for each attempt, we keep them current. */
  readonly live: StreamOptions<any>;
  /** There from the moment on when the last member left until the next ones listen. */
  held?: Held | undefined;
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
  const isOurs = ({ live, client, held }: Connection): boolean =>
    sameIdentity(live.token, member.options.token) &&
    (!member.cursor || (held ? held.from : client.lastEventId) === member.cursor);
  let connection = [...peers].find(isOurs);
  if (!connection) {
    const members = new Set([member]);
    const live = createLiveOptions(members);
    takeOver(live, member);
    connection = { key, peers, members, live, client: new SSEClient(live) };
    connection.client.lastEventId = member.cursor;
    registry.set(key, peers.add(connection));
    watch(peers);
  }
  return connection;
}

/** In a microtask. No timer, and not `queueMicrotask`: test runners that fake those must not keep connections open. */
function soon(callback: () => void): void {
  void Promise.resolve().then(callback);
}

/** Two strings that differ are two users, as far as anybody can know here. */
function sameIdentity(one: unknown, other: unknown): boolean {
  return typeof one !== "string" || typeof other !== "string" || one === other;
}

/** Somebody new takes part. */
export function join(connection: Connection, member: Member): void {
  const { members, held } = connection;
  members.add(member);
  refresh(connection, member);
  if (!held) return;
  held.keep();
  // After all who come in the same commit.
  soon(() => {
    if (connection.held !== held || !members.size) return;
    connection.held = undefined;
    held.stop();
    for (const each of [...members]) each.flush(held);
  });
}

/**
 * Gives a member's share back. What comes from now on is held for whoever comes next.
 *
 * @param isFinal nobody is to come: the connection may close in a microtask, for who comes back in the same commit
 */
export function leave(connection: Connection, member: Member, isFinal: boolean): void {
  const { members, client, live } = connection;
  members.delete(member);
  const [first] = members;
  if (first) return refresh(connection, first);
  const isOver = client.state === "closed" || client.state === "error";
  const linger = isFinal || isOver ? 0 : (live.linger ?? LINGER);
  const held = (connection.held ??= new Held(client));
  if (linger > 0) return held.wait(linger, () => close(connection));
  soon(() => {
    if (connection.held === held && !members.size) close(connection);
  });
}

function close(connection: Connection): void {
  const { key, peers, client, held } = connection;
  held?.stop();
  connection.held = undefined;
  if (!peers.delete(connection)) return;
  client.destroy();
  if (peers.size) watch(peers);
  else registry.delete(key);
}

/** The options of a member have changed, or the member is a new one: those of the first that still means this stream count. */
export function refresh(connection: Connection, member: Member): void {
  const { key, members, live, client } = connection;
  for (const first of members) {
    if (first.key !== key) continue;
    if (first !== member) break;
    const { token } = live;
    takeOver(live, first);
    // A string cannot be asked for again: with another one it is worth a try.
    const isRefused = client.status.error?.kind === "auth";
    if (isRefused && typeof live.token === "string" && live.token !== token) {
      // Not within a commit, in which no status may change; and nothing, where it is about to try again anyway.
      soon(() => {
        if (members.size) client.connect();
      });
    }
    return;
  }
  try {
    // Bundlers replace this as it stands, and the warning is gone; in a browser without one it throws.
    if (process.env.NODE_ENV !== "production") warnOfDifferences(connection, member);
  } catch {
    // No process: nobody develops here.
  }
}

/** Options of a client that tell everybody who shares it. All others are those of their prototype. */
function createLiveOptions(members: ReadonlySet<Member>): StreamOptions<any> {
  const all = (name: "onError" | "onComment"): ((what: any) => void) | undefined => {
    // A provider's is everybody's: once is enough.
    const tells = new Set([...members].flatMap(({ options }) => options[name] ?? []));
    return tells.size ? (what) => tells.forEach((tell: (what: any) => void) => tell(what)) : undefined;
  };
  return {
    get onError() {
      return all("onError");
    },
    get onComment() {
      return all("onComment");
    },
  };
}

/** All but what is each member's own. */
function takeOver(live: StreamOptions<any>, { options }: Member): void {
  Object.setPrototypeOf(live, { ...options, signal: undefined, parsers: undefined, lastEventId: undefined });
}

/** While there are several connections, each event may be the one at which they meet. */
function watch(peers: Set<Connection>): void {
  for (const connection of peers) {
    connection.unwatch?.();
    // In a microtask: this event has still to reach everybody.
    connection.unwatch =
      peers.size > 1 ? connection.client.on("*", () => soon(() => merge(peers))) : undefined;
  }
}

function merge([first, ...others]: Iterable<Connection>): void {
  for (const { client, members, live } of others) {
    const isThere = first?.client.isConnected && client.lastEventId === first.client.lastEventId;
    if (isThere && sameIdentity(live.token, first.live.token)) members.forEach((member) => member.move(first));
  }
}

/** Once per connection, in development. Names options, never their values: a token may be among them. */
function warnOfDifferences(connection: Connection, { options }: Member): void {
  const [first] = connection.members;
  if (connection.warned || !first || first.options === options) return;
  const theirs: Record<string, unknown> = { ...first.options };
  const ours: Record<string, unknown> = { ...options };
  const names = Object.keys({ ...theirs, ...ours }).filter(
    (name) =>
      !["enabled", "lastEventId", "linger"].includes(name) &&
      [theirs[name], ours[name]].every((value) => typeof value !== "object" && typeof value !== "function") &&
      theirs[name] !== ours[name],
  );
  if (!names.length) return;
  connection.warned = true;
  const stream = `${options.sessionId ?? options.url}`.split("?")[0];
  console.warn(
    `watertight: components that share the connection to ${stream} differ in ${names.join(", ")}; ` +
      "the first one counts. Another `key` sets them apart.",
  );
}
