import { useState } from "react";
import { rowsOf, sayLabels } from "./families.ts";
import type { Family, Figure } from "./sample.ts";
import { sayFigure, sayNumber } from "./words.ts";

interface FamilyTableProps {
  service: string;
  families: readonly Family[];
  /** Names of those to show; all without. */
  chosen: readonly string[] | undefined;
}

/** What was scraped of a service: each value, and how fast it grows where that has a meaning. */
export function FamilyTable({ service, families, chosen }: FamilyTableProps) {
  const [words, setWords] = useState("");
  const { rows, more } = rowsOf(families, chosen, words);
  return (
    <div className="families">
      <input
        type="search"
        placeholder="Filter by name or label"
        aria-label={`Filter the metrics of ${service}`}
        data-testid="family-filter"
        value={words}
        maxLength={200}
        onChange={(event) => setWords(event.target.value)}
      />
      <div className="families-scroll" tabIndex={0} role="region" aria-label={`Metrics of ${service}`}>
        <table>
          <thead>
            <tr>
              <th scope="col">Metric</th>
              <th scope="col">Type</th>
              <th scope="col">Value</th>
              <th scope="col">Per second</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ key, family, sample }) => (
              <tr key={key} data-testid="family-row">
                <th scope="row" title={family.help}>
                  {sample.name}
                  <span className="labels">{sayLabels(sample)}</span>
                </th>
                <td>{family.type}</td>
                <Cell figure={sample.value} />
                <Cell figure={sample.perSecond} />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {more > 0 && <p className="hint">{more} more are not shown.</p>}
    </div>
  );
}

function Cell({ figure }: { figure: Figure | undefined }) {
  const { text, reason } = sayFigure(figure, sayNumber);
  return (
    <td className="number">
      {text}
      {reason && <span className="service-reason">{reason}</span>}
    </td>
  );
}
