import { parserOf, readData } from "../data.ts";
import { onAbort } from "../environment.ts";
import { tell, toSSEError, unheardGap } from "../errors.ts";
import type { ConnectionStatus, SSEEvent, Unsubscribe } from "../index.ts";
import { find, join, leave, refresh, type Connection, type Member } from "./connection.ts";
import type { Held } from "./held.ts";
import type { StreamOptions } from "./options.ts";
import { IDLE } from "../status.ts";
import type { DataParser } from "../types.ts";

const CLOSED: ConnectionStatus = { ...IDLE, state: "closed", reason: "disconnected" };

interface Registration {
  readonly type: string;
  readonly handler: (event: SSEEvent) => void;
  off?: Unsubscribe | undefined;
}

/**
 * A share of the connection to a stream: handlers, a place in the stream, an interest in the status. It holds nothing by
 * itself: only between `mount` and what that returns may it take part in a connection. Knows no framework.
 */
export class Subscription implements Member {
  options: StreamOptions<any> = {};
  key: string | undefined;
  cursor = "";
  readonly #registrations = new Set<Registration>();
  readonly #listeners = new Set<() => void>();
  /** The stream of the last `mount`. */
  #mountedKey: string | undefined;
  #isMounted = false;
  /** Whether it is to take part: says `enabled` when it changes, and say `connect` and `disconnect`, also before `mount`. */
  #isWanted: boolean;
  #enabled: boolean;
  #connection: Connection | undefined;
  #release: Unsubscribe = () => {};
  #unlisten: Unsubscribe = () => {};
  /** The status while it takes no part. */
  #rest = IDLE;

  constructor(enabled: boolean) {
    this.#isWanted = this.#enabled = enabled;
  }

  /** Tells of every change of the status. */
  readonly subscribe = (onChange: () => void): Unsubscribe => {
    this.#listeners.add(onChange);
    return () => this.#listeners.delete(onChange);
  };

  /** The status of the stream `key`: also in the render that changes the key never that of another stream. */
  status(key = this.key): ConnectionStatus {
    return this.#connection?.key === key && this.#connection ? this.#connection.client.status : this.#rest;
  }

  /** The id of the last event; empty before the first. */
  get lastEventId(): string {
    return this.#connection?.client.lastEventId ?? this.cursor;
  }

  /** Takes over the options as they are now, and the stream they mean. */
  update(options: StreamOptions<any>, key: string | undefined): void {
    const hasOtherSignal = options.signal !== this.options.signal;
    this.options = options;
    this.key = key;
    if (!this.#connection) return;
    refresh(this.#connection, this);
    if (hasOtherSignal) this.#listenToSignal();
  }

  /** Takes part, if it is enabled. What this returns gives everything back but the place in the stream. */
  mount(key: string | undefined, enabled: boolean): Unsubscribe {
    if (key !== this.#mountedKey) {
      this.#mountedKey = key;
      this.cursor = this.options.lastEventId ?? "";
    }
    if (enabled !== this.#enabled) {
      this.#isWanted = this.#enabled = enabled;
      if (!enabled) this.#end(true);
    }
    this.#isMounted = true;
    this.#begin();
    return () => {
      this.#isMounted = false;
      this.#end(false);
    };
  }

  /** Calls `handler` for each event of `type`, until what it returns is called. */
  readonly addEventListener = (type: string, handler: (event: SSEEvent<any>) => void): Unsubscribe => {
    const registration: Registration = { type, handler };
    this.#registrations.add(registration);
    if (!this.#connection?.held) this.#register(registration);
    return () => {
      this.#registrations.delete(registration);
      registration.off?.();
    };
  };

  /** Takes part again: after `disconnect`, without `enabled`, or after an error that ended the connection. */
  readonly connect = (): void => {
    this.#isWanted = true;
    this.#rest = IDLE;
    if (this.#connection) this.#connection.client.connect();
    else this.#begin();
  };

  /** Takes part no longer. The connection closes with the last one; where this one was is kept for `connect`. */
  readonly disconnect = (): void => {
    this.#isWanted = false;
    this.#rest = CLOSED;
    this.#end(true);
    this.#notify();
  };

  /** Replaces the connection by a new one at once, from the same place, for all who share it. */
  readonly reconnect = (): void => {
    if (this.#connection) this.#connection.client.reconnect();
    else this.connect();
  };

  move(to: Connection): void {
    this.#end(true);
    this.#attach(to);
  }

  flush({ from, events }: Held): void {
    // Who begins elsewhere has a connection of its own.
    if (!this.cursor || this.cursor === from) events.forEach((event) => this.#deliverHeld(event));
    if (this.#connection) this.#registrations.forEach((registration) => registration.off ?? this.#register(registration));
  }

  #deliverHeld(event: SSEEvent): void {
    const told = [...this.#registrations].filter(({ type }) => type === "*" || type === event.type);
    const onError = this.#connection?.live.onError;
    if (!told.length && event.type === "gap") tell(onError, "gap", unheardGap(event.text));
    for (const registration of told) {
      try {
        this.#call(registration, event);
      } catch (cause) {
        tell(onError, "handler", cause);
      }
    }
  }

  #register(registration: Registration): void {
    registration.off = this.#connection?.client.on(registration.type, (_, event) => this.#call(registration, event));
  }

  #call({ handler }: Registration, event: SSEEvent): void {
    // From a commit to its effects the handlers belong to another stream already.
    if (this.#connection?.key !== this.key) return;
    const parser = parserOf(this.options, event.type);
    handler(parser ? parsed(event, parser) : event);
  }

  #begin(): void {
    const key = this.#mountedKey;
    if (!key || !this.#isMounted || !this.#isWanted || this.options.signal?.aborted) return;
    // From a commit to its effects the options mean another stream already: then `mount` comes in a moment.
    if (key === this.key) this.#attach(find(key, this));
  }

  #attach(to: Connection): void {
    const { client } = to;
    this.#connection = to;
    join(to, this);
    this.#release = client.onConnectionChange(() => this.#notify());
    this.#listenToSignal();
    if (!to.held) this.#registrations.forEach((registration) => this.#register(registration));
    client.connect();
    this.#notify();
  }

  #listenToSignal(): void {
    this.#unlisten();
    this.#unlisten = onAbort(this.options.signal, this.disconnect);
  }

  #end(isFinal: boolean): void {
    const from = this.#connection;
    if (!from) return;
    this.#connection = undefined;
    // What is held for it was not delivered.
    this.cursor = from.held ? from.held.from : from.client.lastEventId;
    this.#release();
    this.#unlisten();
    for (const registration of this.#registrations) {
      registration.off?.();
      registration.off = undefined;
    }
    leave(from, this, isFinal);
    this.#notify();
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function parsed(event: SSEEvent, parser: DataParser): SSEEvent {
  try {
    return { ...event, data: readData(event.text, parser) };
  } catch (cause) {
    throw toSSEError("parse", cause);
  }
}
