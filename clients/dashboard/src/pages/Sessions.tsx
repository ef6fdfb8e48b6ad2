import { useState } from "react";
import { useAsk, useSettled } from "../hooks.ts";
import { listPath, type Sorting } from "../model/listing.ts";
import { hashOf } from "../model/route.ts";
import { sayBytes, sayCount, saySeconds } from "../model/words.ts";
import { Failure } from "../parts/Notice.tsx";
import { Pager, usePages, useStartOver } from "../parts/Pager.tsx";
import { Snippets } from "../parts/Snippets.tsx";
import { Table, type Column } from "../parts/Table.tsx";
import { Name } from "../parts/Text.tsx";
import type { SessionSummary } from "../model/answers.ts";

const COLUMNS: readonly Column[] = [
  { label: "name", sort: "name" },
  { label: "state" },
  { label: "subscribers", sort: "subscribers", isNumber: true },
  { label: "events", sort: "events", isNumber: true },
  { label: "bytes", sort: "bytes", isNumber: true },
  { label: "largest lag", isNumber: true },
  { label: "last activity", sort: "activity", isNumber: true },
];

interface SessionsAnswer {
  readonly sessions: readonly SessionSummary[];
  readonly total: number;
  readonly matched: number | null;
  readonly next: string | null;
}

/** All sessions of the hub, a page at a time. */
export function Sessions() {
  const [words, setWords] = useState("");
  const [sorting, setSorting] = useState<Sorting>({ by: "activity", order: "desc" });
  const contains = useSettled(words);
  const filters = { contains, sort: sorting.by, order: sorting.order };
  const pages = usePages(JSON.stringify(filters));
  const path = listPath("sessions", filters, pages.cursor);
  const asked = useAsk<SessionsAnswer>(path, 5_000);
  const { data, isBusy } = asked;
  useStartOver(pages, asked.error);
  return (
    <>
      <h1 tabIndex={-1}>Sessions</h1>
      <form className="card filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <label>
          Name contains
          <input type="search" value={words} onChange={(event) => setWords(event.target.value)} data-testid="contains" />
        </label>
      </form>
      <Failure of={asked} />
      {data && (
        <section className="card">
          <Table label="Sessions" columns={COLUMNS} sorting={sorting} onSort={setSorting} isBusy={isBusy}>
            {data.sessions.map((session) => (
              <tr key={session.session} data-testid="session">
                <th scope="row">
                  <a href={hashOf("sessions", session.session)}>
                    <Name of={session.session} />
                  </a>
                </th>
                <td>{session.state}</td>
                <td className="number">{sayCount(session.subscribers)}</td>
                <td className="number">{sayCount(session.events)}</td>
                <td className="number">{sayBytes(session.bytes)}</td>
                <td className="number">{sayCount(session.lag)}</td>
                <td className="number">{saySeconds(session.idleSeconds)} ago</td>
              </tr>
            ))}
          </Table>
          {!data.sessions.length && <p className="hint">No session {contains ? "has that in its name" : "yet"}.</p>}
          <Pager pages={pages} next={data.next} matched={data.matched} total={data.total} isBusy={isBusy} />
        </section>
      )}
      <Snippets shown={{ path, isStream: false }} />
    </>
  );
}
