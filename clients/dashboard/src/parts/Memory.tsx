import { sayBytes } from "../model/words.ts";

/** What each rung of the hub's ladder means. */
const RUNGS: Readonly<Record<string, string>> = {
  normal: "nothing is withheld",
  warning: "above the warning threshold",
  shed_history: "history is being let go",
  no_replay: "newcomers get no history",
  no_newcomers: "newcomers are refused",
  close_laggards: "the slowest readers are closed",
};

/** Memory against both thresholds, and what the hub does about it. */
export function Memory({ used, warning, critical, rung }: { used: number; warning: number; critical: number; rung: string }) {
  const share = (bytes: number): number => (critical > 0 ? Math.min(bytes / critical, 1) * 100 : 0);
  const words = `${sayBytes(used)} of ${sayBytes(critical)}; warning at ${sayBytes(warning)}`;
  return (
    <section className="card memory" aria-labelledby="memory-title">
      <div className="title">
        <h2 id="memory-title">Memory</h2>
        <p className="number" data-testid="memory">
          {words}
        </p>
        <p className={rung === "normal" ? "good" : "bad"} data-testid="rung">
          {rung.replaceAll("_", " ")}: {RUNGS[rung] ?? "a rung that this page does not know"}
        </p>
      </div>
      <svg className="meter" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={`Memory: ${words}`}>
        <rect className="meter-ground" width="100" height="4" />
        <rect className="meter-used" data-rung={rung} width={share(used)} height="4" />
        <rect className="meter-warning" x={Math.min(share(warning), 99.6)} width="0.4" height="4" />
      </svg>
    </section>
  );
}
