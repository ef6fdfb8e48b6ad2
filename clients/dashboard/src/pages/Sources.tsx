import { useAsk } from "../hooks.ts";
import { listPath } from "../model/listing.ts";
import { hashOf } from "../model/route.ts";
import { sayCount, saySeconds, UNKNOWN } from "../model/words.ts";
import { Failure } from "../parts/Notice.tsx";
import { Pager, usePages, useStartOver } from "../parts/Pager.tsx";
import { Snippets } from "../parts/Snippets.tsx";
import { Table } from "../parts/Table.tsx";
import { Name } from "../parts/Text.tsx";
import type { SourcesAnswer } from "../model/answers.ts";

const COLUMNS = [
  { label: "name" },
  { label: "kind" },
  { label: "state" },
  { label: "breaker" },
  { label: "since", isNumber: true },
  { label: "subscribers", isNumber: true },
  { label: "last error" },
] as const;

/** What feeds sessions from elsewhere, and how it is. */
export function Sources() {
  const pages = usePages("");
  const path = listPath("sources", {}, pages.cursor);
  const asked = useAsk<SourcesAnswer>(path, 3_000);
  const { data, isBusy } = asked;
  useStartOver(pages, asked.error);
  return (
    <>
      <h1 tabIndex={-1}>Sources</h1>
      <Failure of={asked} />
      {data && (
        <section className="card">
          {data.sources.length ? (
            <Table label="Sources" columns={COLUMNS}>
              {data.sources.map((source) => (
                <tr key={source.name} data-testid="source" data-bad={source.state !== "running"}>
                  <th scope="row">
                    <a href={hashOf("sessions", source.name)}>
                      <Name of={source.name} />
                    </a>
                  </th>
                  <td>{source.kind}</td>
                  <td>{source.state}</td>
                  <td>{source.breaker}</td>
                  <td className="number">{saySeconds(source.forSeconds)} ago</td>
                  <td className="number">{sayCount(source.subscribers)}</td>
                  <td>{source.lastError ? <Name of={source.lastError} /> : UNKNOWN}</td>
                </tr>
              ))}
            </Table>
          ) : (
            <p className="hint">No source runs: each starts with the first who watches what it feeds.</p>
          )}
          {(data.next !== null || pages.number > 1) && (
            <Pager pages={pages} next={data.next} matched={data.matched} total={null} isBusy={isBusy} />
          )}
        </section>
      )}
      <Snippets shown={{ path, isStream: false }} />
    </>
  );
}
