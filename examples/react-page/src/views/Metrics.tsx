import { MetricsPanel } from "../panels/metrics/MetricsPanel.tsx";

/** What the services of the hub use, live. */
export function Metrics() {
  return (
    <main className="page">
      <header className="head">
        <h1>Services</h1>
        <p>
          Live from a Watertight hub, <code>GET /services/metrics/stream</code>
        </p>
      </header>
      <MetricsPanel url="/hub/services/metrics/stream" title="Metrics" />
    </main>
  );
}
