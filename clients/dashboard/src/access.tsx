import { createContext, useCallback, useContext, useMemo, useState, type ReactNode } from "react";
import { SSEProvider } from "watertight/react";
import { call, CallError, type CallOptions } from "./call.ts";

/** Where the hub is, and as whom it is asked. */
export interface Access {
  /** The hub's address as one came by it, without a slash at its end. */
  readonly base: string;
  readonly hasToken: boolean;
  /** Another one with each token: what was refused to one may be granted to the next. */
  readonly identity: string;
  /** The hub asked for a token. */
  readonly isAsked: boolean;
  ask(): void;
  /** @param keep whether it outlives a reload, in this tab alone */
  signIn(token: string, keep: boolean): void;
  signOut(): void;
  /** @throws CallError */
  call(path: string, options?: CallOptions): Promise<unknown>;
  readonly token: () => string | null;
}

const KEY = "watertight-token";
const Context = createContext<Access | null>(null);

/** In memory, unless somebody chose otherwise in this tab. */
function stored(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    // A browser that stores nothing.
    return null;
  }
}

function store(token: string | null): void {
  try {
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  } catch {
    // It is kept in memory then, as without the choice.
  }
}

/** The folder of the page: a proxy may have put it below a path. */
export function baseOf(address: string): string {
  return new URL(".", address).href.replace(/[?#].*$/s, "").replace(/\/+$/, "");
}

export function AccessProvider({ children }: { children: ReactNode }) {
  const [base] = useState(() => baseOf(document.baseURI));
  const [{ token, turn }, setToken] = useState(() => ({ token: stored(), turn: 0 }));
  const [isAsked, setAsked] = useState(false);
  const ask = useCallback(() => setAsked(true), []);
  const change = useCallback((token: string | null, keep: boolean) => {
    store(keep ? token : null);
    setToken(({ turn }) => ({ token, turn: turn + 1 }));
    setAsked(false);
  }, []);
  const access = useMemo<Access>(
    () => ({
      base,
      hasToken: token !== null,
      identity: `token-${turn}`,
      isAsked,
      ask,
      signIn: change,
      signOut: () => change(null, false),
      token: () => token,
      async call(path, options) {
        try {
          return await call(base, token, path, options);
        } catch (error) {
          if (error instanceof CallError && error.status === 401) ask();
          throw error;
        }
      },
    }),
    [base, token, turn, isAsked, ask, change],
  );
  return (
    <Context value={access}>
      <SSEProvider baseUrl={base} token={access.token} identity={access.identity}>
        {children}
      </SSEProvider>
    </Context>
  );
}

export function useAccess(): Access {
  const access = useContext(Context);
  if (!access) throw new Error("there is no AccessProvider above");
  return access;
}
