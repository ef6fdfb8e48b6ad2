import { Activity, useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { DebugRecord } from "watertight";
import { MetricsPanel } from "../../react-page/src/panels/metrics/MetricsPanel.tsx";
import { ApiError, call, createTokenSource, type Session } from "./api.ts";
import { Deployments } from "./Deployments.tsx";
import { listen, type Said } from "./said.ts";
import { SaidList } from "./SaidList.tsx";
import { SignIn } from "./SignIn.tsx";
import { SiteProvider, Stream, urlOf, useSite, type Way } from "./site.tsx";

/** Before the API is asked again who is signed in, milliseconds. */
const PAUSE = 1_000;

/** The page: for nobody, or for somebody who is signed in. */
export function App() {
  /** `undefined` until it is known. */
  const [session, setSession] = useState<Session | null>();
  const [said, setSaid] = useState<readonly Said[]>([]);
  /** How often it was asked who is signed in. */
  const [asked, setAsked] = useState(0);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const leaving = new AbortController();
    const ask = async (): Promise<void> => {
      try {
        const found = await call<Session>("GET", "/session", undefined, leaving.signal);
        // The same somebody is no news: streams that are open stay so.
        setSession((known) => (known?.user === found.user ? known : found));
      } catch (error) {
        if (leaving.signal.aborted) return;
        if (error instanceof ApiError && error.status === 401) setSession(null);
        else timer = setTimeout(() => void ask(), PAUSE);
      }
    };
    void ask();
    return () => {
      clearTimeout(timer);
      leaving.abort();
    };
  }, [asked]);

  const onRecord = useCallback((stream: string, record: DebugRecord): void => {
    setSaid((said) => listen(said, stream, record));
    // A right that is gone may mean that the sign-in is: the API knows.
    if (record.type === "status" && record.status.error?.kind === "auth") setAsked((asked) => asked + 1);
  }, []);

  return (
    <main className="page">
      {session === null && <SignIn onSignedIn={setSession} />}
      {session && <Home key={session.user} session={session} onRecord={onRecord} onSignedOut={() => setSession(null)} />}
      <SaidList said={said} />
    </main>
  );
}

interface HomeProps {
  session: Session;
  onRecord: (stream: string, record: DebugRecord) => void;
  onSignedOut: () => void;
}

const VIEWS = ["deployments", "metrics"] as const;
const WAYS: Readonly<Record<Way, string>> = { straight: "from the hub", relayed: "through the API" };

function Home({ session, onRecord, onSignedOut }: HomeProps) {
  const [token] = useState(createTokenSource);
  const [way, setWay] = useState<Way>(() => (new URLSearchParams(location.search).get("way") === "relayed" ? "relayed" : "straight"));
  const view = useSyncExternalStore(onHashChange, () => VIEWS.find((name) => `#${name}` === location.hash) ?? "deployments");
  const signOut = async (): Promise<void> => {
    // Also where the API does not answer: then it is asked again who is signed in.
    await call("DELETE", "/session").then(onSignedOut, () => location.reload());
  };
  return (
    <SiteProvider value={{ session, way, token, onRecord }}>
      <header className="card head-bar">
        <h1>Deployments</h1>
        <nav aria-label="Views">
          {VIEWS.map((name) => (
            <a key={name} href={`#${name}`} aria-current={name === view ? "page" : undefined} data-testid={`view-${name}`}>
              {name}
            </a>
          ))}
        </nav>
        <label>
          Streams come{" "}
          <select value={way} data-testid="way" onChange={(event) => setWay(event.target.value as Way)}>
            {Object.entries(WAYS).map(([name, words]) => (
              <option key={name} value={name}>
                {words}
              </option>
            ))}
          </select>
        </label>
        <span data-testid="who">{session.user}</span>
        <button type="button" data-testid="sign-out" onClick={() => void signOut()}>
          Sign out
        </button>
      </header>
      {/* Hidden, a view keeps what it has and gives its connections back. Another way is another page. */}
      <Activity key={`deployments-${way}`} mode={view === "deployments" ? "visible" : "hidden"}>
        <Deployments />
      </Activity>
      {view === "metrics" && (
        <Stream key={`metrics-${way}`} name="metrics">
          <Metrics />
        </Stream>
      )}
    </SiteProvider>
  );
}

function Metrics() {
  return <MetricsPanel url={urlOf(useSite(), "/services/metrics/stream")} title="Your services" />;
}

function onHashChange(changed: () => void): () => void {
  addEventListener("hashchange", changed);
  return () => removeEventListener("hashchange", changed);
}
