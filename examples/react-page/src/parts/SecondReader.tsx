import { useState } from "react";
import { useSSEEvent } from "../sse.ts";
import { Action } from "./ConnectionBar.tsx";

/** A part of the page that reads the same stream, whenever it is there. Nobody passes anything to it. */
export function SecondReader() {
  const [isShown, setShown] = useState(false);
  return (
    <section className="card second" aria-labelledby="second">
      <div className="title">
        <h2 id="second">Second reader</h2>
        <button
          type="button"
          data-testid="toggle-reader"
          aria-expanded={isShown}
          aria-controls="reader"
          onClick={() => setShown(!isShown)}
        >
          {isShown ? "Unmount" : "Mount"}
        </button>
      </div>
      {/* The place is kept, so that nothing moves when it comes or goes. */}
      <div id="reader" className="place">
        {isShown ? (
          <Reader />
        ) : (
          <p className="hint">A component with hooks of its own. Mounted, it shares the page’s connection: the hub still counts one.</p>
        )}
      </div>
    </section>
  );
}

/** Counts what it hears, by kind of message. Leaving is its own matter: the page’s connection stays. */
function Reader() {
  const [heard, setHeard] = useState<Readonly<Record<string, number>>>({});
  const { connectionState, connect, disconnect } = useSSEEvent("agent_network_update", ({ message: { kind } }) =>
    setHeard((before) => ({ ...before, [kind]: (before[kind] ?? 0) + 1 })),
  );
  const total = Object.values(heard).reduce((sum, n) => sum + n, 0);
  const most = Object.entries(heard)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3);
  const isOut = connectionState === "closed" || connectionState === "idle";
  return (
    <div className="reader" data-testid="reader" data-state={connectionState}>
      <p>
        Heard since it was mounted:{" "}
        <strong className="number" data-testid="reader-heard">
          {total}
        </strong>
      </p>
      <p className="hint">
        {most.length ? most.map(([kind, n]) => `${n} × ${kind}`).join(", ") : "Nothing yet"}
      </p>
      <div className="buttons">
        <Action name="reader-leave" label="Leave" does={isOut ? undefined : disconnect} />
        <Action name="reader-join" label="Join again" does={isOut ? connect : undefined} />
      </div>
    </div>
  );
}
