import { createMemoryHub, type MemoryHub } from "../../src/testing/index.ts";

/** A hub that wants tokens, as far as the tests of tokens go: what stands here must hold for the real one, too. */
export interface TokenHub {
  /** Where it is; empty if only its `fetch` knows. */
  readonly baseUrl: string;
  /** How to reach it. */
  readonly fetch: typeof globalThis.fetch;
  /** A token that is good until `expire` or `revoke`, or for so long by a real hub's clock, which `expire` has to wait for. */
  mint(seconds?: number): Promise<string>;
  /** Its time is over: streams that it opened end with `TOKEN_EXPIRED`, requests with it get 401. */
  expire(token: string): Promise<void>;
  /** Somebody took it back: `TOKEN_REVOKED`, and 401. */
  revoke(token: string): Promise<void>;
  publish(session: string, text: string): Promise<void>;
}

/** A token hub in memory, which counts what came. */
export interface MemoryTokenHub extends TokenHub {
  readonly hub: MemoryHub;
  /** The tokens of all requests, in order. */
  readonly tokens: string[];
}

/** The hub in memory, behind a check of tokens. It ends all its streams at once, so one user is all it has. */
export function createTokenHub(hub: MemoryHub = createMemoryHub()): MemoryTokenHub {
  const good = new Set<string>();
  const tokens: string[] = [];
  let minted = 0;
  const end = async (token: string, code: string): Promise<void> => {
    good.delete(token);
    hub.closingEvent(code, "the token is over");
  };
  return {
    hub,
    tokens,
    baseUrl: "",
    fetch: (input, init) => {
      const token = new Headers(init?.headers).get("authorization")?.replace("Bearer ", "") ?? "";
      tokens.push(token);
      if (!good.has(token)) hub.refuse(1, 401, { code: "TOKEN_EXPIRED", detail: "no valid token" });
      return hub.fetch(input, init);
    },
    mint: async () => {
      const token = `token-${++minted}`;
      good.add(token);
      return token;
    },
    expire: (token) => end(token, "TOKEN_EXPIRED"),
    revoke: (token) => end(token, "TOKEN_REVOKED"),
    publish: async (session, text) => void hub.publishText(session, "message", text),
  };
}
