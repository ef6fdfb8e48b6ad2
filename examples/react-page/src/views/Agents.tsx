import { useState, type ReactNode } from "react";
import { SSEErrorBoundary, SSEProvider } from "watertight/react";
import { createJournal, type Journal } from "../journal/journal.ts";
import { Connection } from "../parts/Connection.tsx";
import { ConnectionBar } from "../parts/ConnectionBar.tsx";
import { Figures } from "../parts/Figures.tsx";
import { Log } from "../parts/Log.tsx";
import { Network } from "../parts/Network.tsx";
import { RatePlot } from "../parts/RatePlot.tsx";
import { SecondReader } from "../parts/SecondReader.tsx";
import { rowsMax, session, useSSE, useSSEState } from "../sse.ts";

/** A network of agents at work. */
export function Agents() {
  const [enabled, setEnabled] = useState(true);
  return (
    // One switch for all hooks below: with `enabled` off, everybody gives the share of the connection back.
    <SSEProvider baseUrl="/hub" sessionId={session} replay={1} enabled={enabled}>
      <Live enabled={enabled} onEnabled={setEnabled} />
    </SSEProvider>
  );
}

/** What came is kept above the boundary: it is still there after an error that ended the connection. */
function Live({ enabled, onEnabled }: { enabled: boolean; onEnabled: (enabled: boolean) => void }) {
  const [{ empty, reduce }] = useState(() => createJournal(rowsMax));
  const journal = useSSEState("*", reduce, empty);
  const { lastEventId } = useSSE();
  const what = { journal, lastEventId };
  return (
    <SSEErrorBoundary
      fallback={({ error, reset }) => (
        <Page {...what} bar={<ConnectionBar state="error" error={error} failures={0} onConnect={reset} />} />
      )}
    >
      <Page {...what} bar={<Connection enabled={enabled} onEnabled={onEnabled} />} reader={<SecondReader />} />
    </SSEErrorBoundary>
  );
}

interface PageProps {
  journal: Journal;
  lastEventId: string;
  bar: ReactNode;
  reader?: ReactNode;
}

/** The parts in their places. Only `bar` and `reader` have to do with the connection. */
function Page({ journal, lastEventId, bar, reader }: PageProps) {
  return (
    <main className="page">
      <header className="head">
        <h1>Agent network</h1>
        <p>
          Live from a Watertight hub, session <code>{session}</code>
        </p>
      </header>
      {bar}
      <Figures tally={journal.tally} lastEventId={lastEventId} />
      <Network latest={journal.latest} />
      <div className="side">
        <RatePlot rate={journal.rate} />
        {reader}
      </div>
      <Log rows={journal.rows} />
    </main>
  );
}
