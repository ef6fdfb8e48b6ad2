import { useEffect } from "react";
import { LIST } from "../watch/models.ts";
import { useWatch } from "../watch/useWatch.ts";
import { Connection } from "./Connection.tsx";
import { RunPanel } from "./RunPanel.tsx";
import { RunRows } from "./RunRows.tsx";
import { StartForm } from "./StartForm.tsx";
import { useSelected } from "./useSelected.ts";

interface RunsProps {
  user: string;
  onSignOut: () => void;
  /** Why signing out did not work; empty otherwise. */
  signOutTrouble: string;
  /** Service or hub say that this user is not signed in any more. */
  onSignedOut: () => void;
}

/** The list of a user's runs, live, and the one that is selected. */
export function Runs({ user, onSignOut, signOutTrouble, onSignedOut }: RunsProps) {
  const list = useWatch("/api/runs/watch", user, LIST);
  const selected = useSelected();
  const rows = list.view.rows ?? [];
  const isSignedOut = list.refusal?.status === 401;
  useEffect(() => {
    if (isSignedOut) onSignedOut();
  }, [isSignedOut, onSignedOut]);

  const count = (status: string): number => rows.filter((row) => row.status === status).length;
  return (
    <main className="page">
      <header className="head">
        <h1>Agents</h1>
        <p>
          Signed in as <strong data-testid="who">{user}</strong>
        </p>
        <button onClick={onSignOut} data-testid="sign-out">
          Sign out
        </button>
        <p role="alert" className="trouble" data-testid="sign-out-trouble">
          {signOutTrouble}
        </p>
      </header>
      <section className="list" aria-label="Runs" data-testid="list" data-gaps={list.view.gaps}>
        <StartForm />
        <Connection name="list" {...list} />
        <p className="hint">
          <span data-testid="running">{count("running")}</span> at work, <span data-testid="done">{count("done")}</span> done,{" "}
          <span data-testid="failed">{count("failed")}</span> failed, <span data-testid="interrupted">{count("interrupted")}</span>{" "}
          interrupted
        </p>
        <RunRows rows={rows} selected={selected} />
      </section>
      {selected ? <RunPanel key={selected} run={selected} user={user} /> : <p className="hint">Start a run, or choose one.</p>}
    </main>
  );
}
