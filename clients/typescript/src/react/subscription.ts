"use client";
import type { ConnectionStatus, SSEEvent, Unsubscribe } from "../index.ts";
import { find, leave, refresh, type Connection, type Member } from "./connection.ts";
import type { UseSSEOptions, UseSSEReturn } from "./types.ts";

/** The status before the first effect, and on a server: a constant, so that hydration finds what the server wrote. */
export const IDLE: ConnectionStatus = { state: "idle", failures: 0, error: null, reason: null };
const CLOSED: ConnectionStatus = { ...IDLE, state: "closed", reason: "disconnected" };

interface Registration {
  readonly type: string;
  readonly handler: (event: SSEEvent) => void;
  off?: Unsubscribe | undefined;
}

/** One component's interest in a stream. */
export interface Subscription {
  /** For one listener: the subscription belongs to one component. */
  subscribe(onChange: () => void): Unsubscribe;
  /** The status of the stream `key`: also in the render that changes the key never that of another stream. */
  status(key: string | undefined): ConnectionStatus;
  /** Takes over the options of the latest commit, and the stream they mean. */
  update(options: UseSSEOptions<any>, key: string | undefined): void;
  /** The component is there (again). What this returns gives everything back but the place in the stream. */
  mount(key: string | undefined, enabled: boolean): Unsubscribe;
  /** What the component is given. */
  readonly actions: Pick<UseSSEReturn<any>, "addEventListener" | "connect" | "disconnect" | "reconnect">;
}

/**
 * Its handlers, its place in the stream, its share of a connection. Made in render, so it holds nothing by itself: only
 * between `mount` and what that returns may it take part in a connection. Functions, not a class: they minify better.
 */
export function createSubscription(enabled: boolean): Subscription {
  const registrations = new Set<Registration>();
  const member: Member = { options: {}, cursor: "", move };
  let key: string | undefined;
  /** Whether it is to take part: says `enabled` when it changes, and say `connect` and `disconnect`, also before `mount`. */
  let wanted = enabled;
  let mounted = false;
  let connection: Connection | undefined;
  let release: Unsubscribe;
  /** React, once it has subscribed. */
  let listener: (() => void) | undefined;
  /** The status while it takes no part. */
  let rest = IDLE;

  const register = (registration: Registration): void => {
    registration.off = connection?.client.on(registration.type, (_, event) => registration.handler(event));
  };

  const begin = (): void => {
    // From a commit to its effects the options mean another stream already: then `mount` comes in a moment.
    if (mounted && wanted && key && key === member.key && !member.options.signal?.aborted) attach(find(key, member));
  };

  const attach = (to: Connection): void => {
    const { client } = (connection = to);
    to.members.add(member);
    refresh(to);
    const { signal } = member.options;
    signal?.addEventListener("abort", disconnect);
    const off = client.onConnectionChange(() => listener?.());
    release = () => {
      off();
      signal?.removeEventListener("abort", disconnect);
    };
    registrations.forEach(register);
    client.connect();
    listener?.();
  };

  const end = (): void => {
    const from = connection;
    if (!from) return;
    connection = undefined;
    member.cursor = from.client.lastEventId;
    release();
    registrations.forEach(({ off }) => off?.());
    leave(from, member);
    listener?.();
  };

  function move(to: Connection): void {
    end();
    attach(to);
  }

  const connect = (): void => {
    wanted = true;
    rest = IDLE;
    if (connection) connection.client.connect();
    else begin();
  };

  const disconnect = (): void => {
    wanted = false;
    rest = CLOSED;
    end();
  };

  return {
    subscribe(onChange) {
      listener = onChange;
      return () => {
        listener = undefined;
      };
    },
    status: (asked) => (connection?.key === asked && connection?.client.status) || rest,
    update(options, newKey) {
      member.options = options;
      member.key = newKey;
      if (connection) refresh(connection);
    },
    mount(newKey, newEnabled) {
      if (newKey !== key) {
        key = newKey;
        member.cursor = member.options.lastEventId ?? "";
      }
      if (newEnabled !== enabled) wanted = enabled = newEnabled;
      mounted = true;
      begin();
      return () => {
        mounted = false;
        end();
      };
    },
    actions: {
      addEventListener(type, handler) {
        const registration: Registration = { type, handler };
        registrations.add(registration);
        register(registration);
        return () => {
          registrations.delete(registration);
          registration.off?.();
        };
      },
      connect,
      disconnect,
      reconnect() {
        if (connection) connection.client.reconnect();
        else connect();
      },
    },
  };
}
