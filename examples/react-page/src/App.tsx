import { useState, type ReactNode } from "react";
import { SSEErrorBoundary, SSEProvider } from "watertight/react";
import { createJournal, type Journal } from "./journal/journal.ts";
import { Connection } from "./parts/Connection.tsx";
import { ConnectionBar } from "./parts/ConnectionBar.tsx";
import { Figures } from "./parts/Figures.tsx";
import { Log } from "./parts/Log.tsx";
import { Network } from "./parts/Network.tsx";
import { RatePlot } from "./parts/RatePlot.tsx";
import { SecondReader } from "./parts/SecondReader.tsx";
import { session } from "./sse.ts";

/** The page. What came is kept above the boundary: it is still there after an error that ended the connection. */
export function App() {
  const [journal] = useState(() => createJournal());
  const [enabled, setEnabled] = useState(true);
  return (
    // One switch for all hooks below: with `enabled` off, everybody gives the share of the connection back.
    <SSEProvider baseUrl="/hub" sessionId={session} replay={1} enabled={enabled}>
      <SSEErrorBoundary
        fallback={({ error, reset }) => (
          <Page
            journal={journal}
            bar={<ConnectionBar state="error" error={error} failures={0} onConnect={reset} />}
          />
        )}
      >
        <Page
          journal={journal}
          bar={<Connection journal={journal} enabled={enabled} onEnabled={setEnabled} />}
          reader={<SecondReader />}
        />
      </SSEErrorBoundary>
    </SSEProvider>
  );
}

/** The parts in their places. Only `bar` and `reader` have to do with the connection. */
function Page({ journal, bar, reader }: { journal: Journal; bar: ReactNode; reader?: ReactNode }) {
  return (
    <main className="page">
      <header className="head">
        <h1>Agent network</h1>
        <p>
          Live from a Watertight hub, session <code>{session}</code>
        </p>
      </header>
      {bar}
      <Figures journal={journal} />
      <Network journal={journal} />
      <div className="side">
        <RatePlot rate={journal.rate} />
        {reader}
      </div>
      <Log journal={journal} />
    </main>
  );
}
