import { MetricsPanel } from "../../../../examples/react-page/src/panels/metrics/MetricsPanel.tsx";
import { useAccess } from "../access.tsx";
import { Snippets } from "../parts/Snippets.tsx";

/** The services that the hub samples. */
export function Services() {
  const { base } = useAccess();
  return (
    <>
      <h1 tabIndex={-1}>Services</h1>
      <MetricsPanel url={`${base}/services/metrics/stream`} title="Metrics" />
      <Snippets shown={{ path: "services/metrics/stream", isStream: true }} />
    </>
  );
}
