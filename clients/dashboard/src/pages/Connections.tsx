import { useState } from "react";
import { useAccess } from "../access.tsx";
import { sayOutcome } from "../call.ts";
import { useAsk, useDoing, useSettled } from "../hooks.ts";
import type { ConnectionsAnswer } from "../model/answers.ts";
import { listPath, type Sorting } from "../model/listing.ts";
import { oneLine } from "../model/text.ts";
import { wholeNumber } from "../model/typed.ts";
import { sayCount } from "../model/words.ts";
import { ConnectionRows, CONNECTION_COLUMNS } from "../parts/ConnectionRows.tsx";
import { Confirm } from "../parts/Confirm.tsx";
import { Failure, Outcome } from "../parts/Notice.tsx";
import { Pager, usePages, useStartOver } from "../parts/Pager.tsx";
import { Snippets } from "../parts/Snippets.tsx";
import { Table } from "../parts/Table.tsx";

const FIELDS = [
  ["contains", "Contains"],
  ["session", "Session"],
  ["user", "User"],
  ["address", "Address"],
  ["min_lag", "Lag at least"],
] as const;
const KINDS = ["session", "logs", "metrics", "stats"];
const NONE: Readonly<Record<string, string>> = { contains: "", session: "", user: "", address: "", min_lag: "", kind: "" };

/** All subscribers of the hub, a page at a time. */
export function Connections() {
  const { call } = useAccess();
  const [typed, setTyped] = useState(NONE);
  const [sorting, setSorting] = useState<Sorting>({ by: "lag", order: "desc" });
  const settled = useSettled(typed);
  const filters = { ...settled, min_lag: wholeNumber(settled["min_lag"] ?? ""), sort: sorting.by, order: sorting.order };
  const pages = usePages(JSON.stringify(filters));
  const path = listPath("connections", filters, pages.cursor);
  const asked = useAsk<ConnectionsAnswer>(path, 5_000);
  const { data, isBusy, again } = asked;
  useStartOver(pages, asked.error);
  const doing = useDoing(sayOutcome);
  const set = (name: string, value: string): void => setTyped({ ...typed, [name]: value });
  const user = settled["user"]?.trim() ?? "";
  const closeAll = async (signal: AbortSignal): Promise<string> => {
    const { closed } = (await call(`connections?${new URLSearchParams({ user })}`, { method: "DELETE", signal })) as { closed: number };
    again();
    return `${sayCount(closed)} streams of ${oneLine(user)} were closed.`;
  };
  return (
    <>
      <h1 tabIndex={-1}>Connections</h1>
      <form className="card filters" role="search" onSubmit={(event) => event.preventDefault()}>
        {FIELDS.map(([name, label]) => (
          <label key={name}>
            {label}
            <input
              value={typed[name]}
              inputMode={name === "min_lag" ? "numeric" : "text"}
              onChange={(event) => set(name, event.target.value)}
              data-testid={`filter-${name}`}
            />
          </label>
        ))}
        <label>
          Kind
          <select value={typed["kind"]} onChange={(event) => set("kind", event.target.value)} data-testid="filter-kind">
            <option value="">any</option>
            {KINDS.map((kind) => (
              <option key={kind}>{kind}</option>
            ))}
          </select>
        </label>
      </form>
      {user && (
        <div className="buttons">
          <Confirm
            label="Close all of this user"
            questions={[`Close all streams of ${oneLine(user)}? Their tokens stay good.`]}
            yes="Close them"
            disabled={doing.isBusy}
            onYes={() => doing.run(closeAll)}
            testId="close-all"
          />
        </div>
      )}
      <Outcome of={doing} />
      <Failure of={asked} />
      {data && (
        <section className="card">
          <Table label="Connections" columns={CONNECTION_COLUMNS} sorting={sorting} onSort={setSorting} isBusy={isBusy}>
            <ConnectionRows rows={data.connections} onClosed={again} />
          </Table>
          {!data.connections.length && <p className="hint">No connection is like that.</p>}
          <Pager pages={pages} next={data.next} matched={data.matched} total={data.total} isBusy={isBusy} />
        </section>
      )}
      <Snippets shown={{ path, isStream: false }} />
    </>
  );
}
