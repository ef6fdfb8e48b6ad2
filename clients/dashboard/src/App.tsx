import { Component, useEffect, useRef, type ReactNode } from "react";
import { useAccess } from "./access.tsx";
import { useRoute } from "./hooks.ts";
import { hashOf, PAGES, type PageName, type Route } from "./model/route.ts";
import { AccessPage } from "./pages/Access.tsx";
import { Connections } from "./pages/Connections.tsx";
import { Deployments } from "./pages/Deployments.tsx";
import { Overview } from "./pages/Overview.tsx";
import { Services } from "./pages/Services.tsx";
import { Session } from "./pages/Session.tsx";
import { Sessions } from "./pages/Sessions.tsx";
import { Sources } from "./pages/Sources.tsx";
import { Notice } from "./parts/Notice.tsx";
import { SignIn } from "./parts/SignIn.tsx";

const NAMES: Readonly<Record<PageName, string>> = {
  overview: "Overview",
  sessions: "Sessions",
  connections: "Connections",
  sources: "Sources",
  deployments: "Deployments",
  services: "Services",
  access: "Access",
};

/** One page at a time: what another one had open is given back. */
export function App() {
  const route = useRoute();
  const { hasToken, signOut, identity } = useAccess();
  const main = useRef<HTMLElement>(null);
  const shown = hashOf(route.page, route.of ?? undefined);
  const first = useRef(shown);
  useEffect(() => {
    document.title = `${NAMES[route.page]} · Watertight`;
    // Who cannot see that the page is another one is told, but not when it is opened.
    if (first.current !== shown) main.current?.querySelector("h1")?.focus();
    first.current = "";
  }, [shown, route.page]);
  return (
    <>
      <button type="button" className="skip" onClick={() => main.current?.focus()}>
        To the content
      </button>
      <header className="top">
        <a className="brand" href={hashOf("overview")}>
          Watertight
        </a>
        <nav aria-label="Pages">
          <ul>
            {PAGES.map((page) => (
              <li key={page}>
                <a href={hashOf(page)} aria-current={page === route.page ? "page" : undefined} data-testid={`page-${page}`}>
                  {NAMES[page]}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        {hasToken && (
          <button type="button" onClick={signOut}>
            Sign out
          </button>
        )}
      </header>
      <main ref={main} tabIndex={-1} data-page={route.page}>
        <SignIn />
        <Guard key={`${identity} ${shown}`}>
          <Page route={route} />
        </Guard>
      </main>
    </>
  );
}

function Page({ route: { page, of } }: { route: Route }) {
  switch (page) {
    case "overview":
      return <Overview />;
    case "sessions":
      return of === null ? <Sessions /> : <Session name={of} />;
    case "connections":
      return <Connections />;
    case "sources":
      return <Sources />;
    case "deployments":
      return <Deployments id={of} />;
    case "services":
      return <Services />;
    case "access":
      return <AccessPage />;
  }
}

/** A page that cannot be shown says so, and the others are still there. */
class Guard extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    return error === null ? this.props.children : <Notice words={`This cannot be shown: ${error instanceof Error ? error.message : String(error)}`} />;
  }
}
