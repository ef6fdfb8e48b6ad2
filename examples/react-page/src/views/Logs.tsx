import { useState, type FormEvent } from "react";
import { LogPanel } from "../panels/log/LogPanel.tsx";

/** Which deployment to show: `?deployment=…`. */
const INITIAL = new URLSearchParams(location.search).get("deployment") || "build-1";

/** The log of a deployment, live. */
export function Logs() {
  const [deployment, setDeployment] = useState(INITIAL);
  const watch = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const id = String(new FormData(event.currentTarget).get("deployment")).trim();
    if (!id) return;
    setDeployment(id);
    // So that the address can be passed on.
    const address = new URL(location.href);
    address.searchParams.set("deployment", id);
    history.replaceState(null, "", address);
  };
  return (
    <main className="page">
      <header className="head">
        <h1>Deployment logs</h1>
        <p>
          Live from a Watertight hub, <code>GET /deployments/{deployment}/logs/stream</code>
        </p>
      </header>
      <form className="card choose" onSubmit={watch}>
        <label htmlFor="deployment">Deployment</label>
        <input id="deployment" name="deployment" data-testid="deployment" defaultValue={deployment} maxLength={128} required />
        <button type="submit" data-testid="watch">
          Watch
        </button>
      </form>
      <LogPanel url={`/hub/deployments/${encodeURIComponent(deployment)}/logs/stream`} title={deployment} />
    </main>
  );
}
