import { useAccess } from "../access.tsx";
import { sayOutcome } from "../call.ts";
import { useDoing } from "../hooks.ts";
import type { ConnectionSummary } from "../model/answers.ts";
import { encoded, hashOf } from "../model/route.ts";
import { sayCount, saySeconds, UNKNOWN } from "../model/words.ts";
import { Confirm } from "./Confirm.tsx";
import { Outcome } from "./Notice.tsx";
import type { Column } from "./Table.tsx";
import { Name } from "./Text.tsx";

export const CONNECTION_COLUMNS: readonly Column[] = [
  { label: "session" },
  { label: "user" },
  { label: "kind" },
  { label: "address" },
  { label: "lag", sort: "lag", isNumber: true },
  { label: "sent", sort: "sent", isNumber: true },
  { label: "age", sort: "age", isNumber: true },
  { label: "delivery" },
  { label: "close" },
];

export function ConnectionRows({ rows, onClosed }: { rows: readonly ConnectionSummary[]; onClosed: () => void }) {
  return rows.map((row) => <ConnectionRow key={row.id} row={row} onClosed={onClosed} />);
}

function ConnectionRow({ row, onClosed }: { row: ConnectionSummary; onClosed: () => void }) {
  const { call } = useAccess();
  const doing = useDoing(sayOutcome);
  const close = async (signal: AbortSignal): Promise<string> => {
    await call(`connections/${encoded(row.id)}`, { method: "DELETE", signal });
    onClosed();
    return "Closed.";
  };
  return (
    <tr data-testid="connection" data-bad={row.stalled}>
      <th scope="row">
        <a href={hashOf("sessions", row.session)}>
          <Name of={row.session} max={60} />
        </a>
      </th>
      <td>{row.user === null ? UNKNOWN : <Name of={row.user} max={60} />}</td>
      <td>{row.kind}</td>
      <td className="address">{row.address ? <Name of={row.address} max={60} /> : UNKNOWN}</td>
      <td className="number">
        {sayCount(row.lag)}
        {row.stalled && " (stalled)"}
      </td>
      <td className="number">{sayCount(row.sent)}</td>
      <td className="number">{saySeconds(row.ageSeconds)}</td>
      <td>{row.delivery}</td>
      <td>
        <Confirm label="Close" questions={["Close it?"]} yes="Close it" disabled={doing.isBusy} onYes={() => doing.run(close)} testId="close" />
        <Outcome of={doing} />
      </td>
    </tr>
  );
}
