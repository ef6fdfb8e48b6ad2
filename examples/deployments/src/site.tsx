import { createContext, useContext, type ReactNode } from "react";
import { SSEProvider } from "watertight/react";
import type { DebugRecord } from "watertight";
import type { Session } from "./api.ts";

/** How streams come to the page: from the hub itself with a token, or through the API with its cookie. */
export type Way = "straight" | "relayed";

/** What everything below knows. */
export interface Site {
  readonly session: Session;
  readonly way: Way;
  readonly token: (context: { readonly refresh: boolean }) => Promise<string>;
  /** Told of everything that happens to a stream. */
  readonly onRecord: (stream: string, record: DebugRecord) => void;
}

const Context = createContext<Site | null>(null);
export const SiteProvider = Context.Provider;

export function useSite(): Site {
  const site = useContext(Context);
  if (!site) throw new Error("nobody is signed in here");
  return site;
}

/** The address of a stream. `own` is that of the API, where it has another one. */
export function urlOf({ way, session }: Site, path: string, own = path): string {
  return way === "straight" ? session.hub + path : `/api${own}`;
}

/** Everything below is about one stream, in the way that was chosen. */
export function Stream({ name, children }: { name: string; children: ReactNode }) {
  const { way, token, session, onRecord } = useSite();
  return (
    <SSEProvider
      identity={session.user}
      // A cookie is sent by the browser; and it is of the page's origin alone.
      {...(way === "straight" && { token })}
      debug={(record) => onRecord(name, record)}
    >
      {children}
    </SSEProvider>
  );
}
