/** The pages, in the order of the navigation. */
export const PAGES = ["overview", "sessions", "connections", "sources", "deployments", "services", "access"] as const;
export type PageName = (typeof PAGES)[number];

/** Where one is: `#/sessions/NAME`. */
export interface Route {
  readonly page: PageName;
  /** What is shown of it: a session, a deployment; for connections, a session or nothing. */
  readonly of: string | null;
}

/** What an address means. Whatever is none of ours is the overview. */
export function routeOf(hash: string): Route {
  const [, name = "", rest] = /^#\/?([a-z]*)(?:\/(.*))?$/s.exec(hash) ?? [];
  const page = PAGES.find((page) => page === name) ?? "overview";
  return { page, of: page === name && rest ? decoded(rest) : null };
}

export function hashOf(page: PageName, of?: string): string {
  return `#/${page}${of === undefined ? "" : `/${encoded(of)}`}`;
}

/** One segment of a path. Half a surrogate pair, which no address can carry, becomes U+FFFD. */
export function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Typed by hand, with a percent sign that is one.
    return text;
  }
}

/** The deployment whose log a session is: `deployments/ID/logs`. */
export function deploymentOf(session: string): string | null {
  return /^deployments\/([^/]+)\/logs$/.exec(session)?.[1] ?? null;
}
