import { useReducer, useState } from "react";
import { useSSEStatus, useSSEState } from "watertight/react";
import { useAccess } from "../access.tsx";
import { sayError, sayOutcome } from "../call.ts";
import { useAsk, useDoing, useSignInFor } from "../hooks.ts";
import { addEvent, NO_FEED } from "../model/feed.ts";
import { encoded } from "../model/route.ts";
import { sessionShown } from "../model/snippets.ts";
import { sayBytes, sayCount, saySeconds } from "../model/words.ts";
import { ConnectionRows, CONNECTION_COLUMNS } from "../parts/ConnectionRows.tsx";
import { Confirm } from "../parts/Confirm.tsx";
import { Events } from "../parts/Events.tsx";
import { Failure, Notice, Outcome } from "../parts/Notice.tsx";
import { PublishForm } from "../parts/PublishForm.tsx";
import { Snippets } from "../parts/Snippets.tsx";
import { State } from "../parts/State.tsx";
import { Table } from "../parts/Table.tsx";
import { Name } from "../parts/Text.tsx";
import type { ConnectionsAnswer, SessionSummary } from "../model/answers.ts";

export function Session({ name }: { name: string }) {
  // Whatever resolves an address takes these out of it.
  return /^\.{1,2}$/.test(name) ? <Notice words="No session is called that: it cannot be asked for." /> : <One name={name} />;
}

/** One session: what comes, who reads it, and what can be done to it. */
function One({ name }: { name: string }) {
  const { call } = useAccess();
  const asked = useAsk<SessionSummary>(`sessions/${encoded(name)}`, 2_000);
  const { data, error, again } = asked;
  const doing = useDoing(sayOutcome);
  const end = async (signal: AbortSignal): Promise<string> => {
    await call(`sessions/${encoded(name)}/end`, { method: "POST", signal });
    again();
    return "The session is ended: its subscribers were told, its history is kept for a while.";
  };
  const forget = async (signal: AbortSignal): Promise<string> => {
    await call(`sessions/${encoded(name)}`, { method: "DELETE", signal });
    again();
    return "The session is deleted, with its history.";
  };
  return (
    <>
      <p>
        <a href="#/sessions">All sessions</a>
      </p>
      <h1 tabIndex={-1}>
        Session <Name of={name} />
      </h1>
      {error?.code === "SESSION_NOT_FOUND" ? <Notice words="The hub has no such session (any more)." /> : <Failure of={asked} />}
      {data && <Summary of={data} />}
      <div className="buttons">
        <Confirm
          label="End"
          questions={["End it? Its subscribers are told that it is over."]}
          yes="End it"
          disabled={!data || data.state === "ended" || doing.isBusy}
          onYes={() => doing.run(end)}
          testId="end"
        />
        <Confirm
          label="Delete"
          questions={["Delete it with its history?", "Really? Nothing of it can be read afterwards."]}
          yes="Delete it"
          disabled={!data || doing.isBusy}
          onYes={() => doing.run(forget)}
          testId="delete"
        />
        <Outcome of={doing} />
      </div>
      <Live name={name} />
      <PublishForm session={name} />
      <Subscribers session={name} />
      <Snippets shown={sessionShown(name)} />
    </>
  );
}

function Summary({ of }: { of: SessionSummary }) {
  const rows: [string, string][] = [
    ["state", of.state],
    ["subscribers", sayCount(of.subscribers)],
    ["events kept", sayCount(of.events)],
    ["bytes kept", sayBytes(of.bytes)],
    ["newest id", of.newest],
    ["last activity", `${saySeconds(of.idleSeconds)} ago`],
    ...(of.source ? ([["source", `${of.source.state} for ${saySeconds(of.source.forSeconds)}`]] as [string, string][]) : []),
  ];
  return (
    <dl className="card facts" data-testid="summary">
      {rows.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd className="number">
            <Name of={value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** The events as they come. Held, they are counted and nothing moves. */
function Live({ name }: { name: string }) {
  const [epoch, clear] = useReducer((epoch: number) => epoch + 1, 0);
  return <Stream key={epoch} name={name} onClear={clear} />;
}

function Stream({ name, onClear }: { name: string; onClear: () => void }) {
  // Its own connection, so that it begins with what the hub keeps: 100 of them.
  const stream = { sessionId: name, replay: 100, key: "page", linger: 0 };
  const feed = useSSEState("*", (feed, _, event) => addEvent(feed, event), NO_FEED, stream);
  const status = useSSEStatus((status) => status, stream);
  useSignInFor(status.error);
  const [held, setHeld] = useState<typeof feed | null>(null);
  const shown = held ?? feed;
  const error = status.state === "error" ? status.error : null;
  return (
    <section className="card" aria-labelledby="events-title">
      <div className="title">
        <h2 id="events-title">Events</h2>
        <State of={status} />
        <p className="hint number" data-testid="event-count">
          {sayCount(feed.count)} came, {sayBytes(feed.bytes)}; the newest {sayCount(shown.rows.length)} are shown
          {held && `; ${sayCount(feed.count - held.count)} since then`}
        </p>
        <span className="buttons">
          <button type="button" aria-pressed={held !== null} onClick={() => setHeld(held ? null : feed)}>
            Hold
          </button>
          <button type="button" onClick={onClear}>
            Read again
          </button>
        </span>
      </div>
      {error && <Notice words={sayError(error)} />}
      <Events rows={shown.rows} />
    </section>
  );
}

/** Who reads it, the slowest first. */
function Subscribers({ session }: { session: string }) {
  const query = new URLSearchParams({ session, sort: "lag", order: "desc", limit: "20" });
  const asked = useAsk<ConnectionsAnswer>(`connections?${query}`, 5_000);
  const { data, again } = asked;
  return (
    <section className="card">
      <div className="title">
        <h2>Subscribers, the slowest first</h2>
        {data?.matched != null && data.matched > 20 && <p className="hint">20 of {sayCount(data.matched)}</p>}
      </div>
      <Failure of={asked} />
      {data && !data.connections.length && <p className="hint">none</p>}
      {data && data.connections.length > 0 && (
        <Table label="Subscribers" columns={CONNECTION_COLUMNS}>
          <ConnectionRows rows={data.connections} onClosed={again} />
        </Table>
      )}
    </section>
  );
}
