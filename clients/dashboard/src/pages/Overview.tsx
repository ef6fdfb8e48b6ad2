import { useSSEEvent, useSSEStatus, useSSEState } from "watertight/react";
import { useAccess } from "../access.tsx";
import { sayError } from "../call.ts";
import { useSignInFor } from "../hooks.ts";
import { addSample, memoryOf, NO_HISTORY, SPAN, type History } from "../model/history.ts";
import { readStats, wrongInLedger, type Stats } from "../model/stats.ts";
import { sayBytes, sayCount, sayMs, sayRate, saySeconds } from "../model/words.ts";
import { Memory } from "../parts/Memory.tsx";
import { Notice } from "../parts/Notice.tsx";
import { Snippets } from "../parts/Snippets.tsx";
import { Table } from "../parts/Table.tsx";
import { TimePlot, type Line } from "../parts/TimePlot.tsx";
import { State } from "../parts/State.tsx";

const MEMORY: readonly Line[] = [
  { of: "memory", label: "used", colour: "--one" },
  { of: "warning", label: "warning", colour: "--warn", isDashed: true },
  { of: "critical", label: "critical", colour: "--bad", isDashed: true },
];
const CONNECTIONS: readonly Line[] = [
  { of: "subscribers", label: "subscribers", colour: "--one" },
  { of: "sessions", label: "sessions", colour: "--two" },
];
const EVENTS: readonly Line[] = [
  { of: "published", label: "in", colour: "--one" },
  { of: "delivered", label: "out", colour: "--two" },
];
const LATENCY: readonly Line[] = [
  { of: "p50", label: "p50", colour: "--one" },
  { of: "p99", label: "p99", colour: "--two" },
];
const TROUBLE: readonly Line[] = [
  { of: "gaps", label: "gaps", colour: "--one" },
  { of: "refused", label: "refusals", colour: "--two" },
];

const fold = (history: History, data: unknown): History => addSample(history, readStats(data));

/** The hub's own figures, by the stream of itself. */
export function Overview() {
  const { base } = useAccess();
  const stream = { url: `${base}/stats/stream`, replay: SPAN / 1_000, linger: 0 };
  const history = useSSEState("stats", fold, NO_HISTORY, stream);
  const status = useSSEStatus((status) => status, stream);
  // The plots are broken there, which says it; without anybody who listens to it, it would be reported as an error.
  useSSEEvent("gap", () => {}, stream);
  useSignInFor(status.error);
  const { last, points, restarts } = history;
  const error = status.state === "error" ? status.error : null;
  return (
    <>
      <div className="title">
        <h1 tabIndex={-1}>Overview</h1>
        <State of={status} />
        {last && (
          <p className="hint number">
            version {last.version}, up {saySeconds(last.uptimeSeconds)}
            {restarts > 0 && `, started again ${restarts === 1 ? "once" : `${restarts} times`} while this page was open`}
          </p>
        )}
      </div>
      {error && <Notice words={sayError(error)} />}
      {last && <Figures last={last} history={history} />}
      {last && (
        <div className="grid plots">
          <TimePlot name="memory" label="Memory" points={points} lines={MEMORY} say={sayBytes} isBytes />
          <TimePlot name="connections" label="Subscribers and sessions" points={points} lines={CONNECTIONS} say={sayCount} />
          <TimePlot name="events" label="Events" points={points} lines={EVENTS} say={sayRate} />
          <TimePlot name="latency" label="Delivery latency" points={points} lines={LATENCY} say={sayMs} />
          <TimePlot name="trouble" label="Gaps and refusals" points={points} lines={TROUBLE} say={sayRate} />
        </div>
      )}
      {last && (
        <div className="grid">
          <Reasons title="Gaps by reason" counts={last.gapsByReason} />
          <Reasons title="Closed streams by reason" counts={last.closesByReason} />
          <Reasons title="Refusals by reason" counts={last.refusalsByReason} />
          <Reasons title="Memory by owner" counts={last.owners} say={sayBytes} />
          <Ledger of={last.ledger} />
        </div>
      )}
      <Snippets shown={{ path: "stats/stream", isStream: true }} />
    </>
  );
}

function Figures({ last, history: { points } }: { last: Stats; history: History }) {
  const now = points.at(-1);
  const figures: [name: string, label: string, value: string][] = [
    ["subscribers", "Subscribers", sayCount(last.subscribers)],
    ["sessions", "Sessions", sayCount(last.sessions)],
    ["in", "Events in", sayRate(now?.published)],
    ["out", "Events out", sayRate(now?.delivered)],
    ["p50", "Delivery p50", sayMs(last.p50Ms)],
    ["p99", "Delivery p99", sayMs(last.p99Ms)],
    ["gaps", "Gaps told", sayCount(last.gaps)],
    ["refused", "Refusals", sayCount(last.refused)],
  ];
  return (
    <>
      <Memory used={memoryOf(last)} warning={last.warningBytes} critical={last.criticalBytes} rung={last.rung} />
      <dl className="figures">
        {figures.map(([name, label, value]) => (
          <div key={name} className="card">
            <dt>{label}</dt>
            <dd className="number" data-testid={`figure-${name}`}>
              {value}
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function Reasons({ title, counts, say = sayCount }: { title: string; counts: Readonly<Record<string, number>>; say?: typeof sayCount }) {
  const rows = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);
  return (
    <section className="card">
      <h2>{title}</h2>
      {rows.length ? (
        <dl className="rows">
          {rows.map(([name, count]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd className="number">{say(count)}</dd>
            </div>
          ))}
        </dl>
      ) : (
        <p className="hint">none</p>
      )}
    </section>
  );
}

/** What was opened and closed. It has to add up at each moment. */
function Ledger({ of }: { of: Stats["ledger"] }) {
  const wrong = wrongInLedger(of);
  return (
    <section className="card wide">
      <div className="title">
        <h2>Ledger</h2>
        <p className={wrong.length ? "bad" : "good"} data-testid="ledger-mark">
          {wrong.length ? `✗ does not add up: ${wrong.join(", ")}` : "✓ adds up"}
        </p>
      </div>
      <Table
        label="Ledger"
        columns={[{ label: "kind" }, { label: "opened", isNumber: true }, { label: "closed", isNumber: true }, { label: "live", isNumber: true }]}
      >
        {Object.entries(of).map(([kind, { opened, closed, live }]) => (
          <tr key={kind} data-bad={wrong.includes(kind)}>
            <th scope="row">{kind}</th>
            <td className="number">{sayCount(opened)}</td>
            <td className="number">{sayCount(closed)}</td>
            <td className="number">{sayCount(live)}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}
