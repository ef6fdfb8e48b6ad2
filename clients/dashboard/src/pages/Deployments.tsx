import { useRef, type FormEvent } from "react";
import { LogPanel } from "../../../../examples/react-page/src/panels/log/LogPanel.tsx";
import { useAccess } from "../access.tsx";
import { useAsk } from "../hooks.ts";
import type { SessionSummary } from "../model/answers.ts";
import { listPath } from "../model/listing.ts";
import { deploymentOf, encoded, hashOf } from "../model/route.ts";
import { oneLine } from "../model/text.ts";
import { saySeconds } from "../model/words.ts";
import { Failure } from "../parts/Notice.tsx";
import { Snippets } from "../parts/Snippets.tsx";
import { Name } from "../parts/Text.tsx";

/** The logs of deployments: those that the hub has, and any other by its id. */
export function Deployments({ id }: { id: string | null }) {
  const { base } = useAccess();
  const field = useRef<HTMLInputElement>(null);
  const path = listPath("sessions", { contains: "deployments/", sort: "activity", order: "desc" }, null);
  const asked = useAsk<{ sessions: readonly SessionSummary[] }>(path, 10_000);
  const known = (asked.data?.sessions ?? []).flatMap((session) => {
    const id = deploymentOf(session.session);
    return id === null ? [] : [{ id, session }];
  });
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    const typed = field.current?.value.trim();
    if (typed) location.hash = hashOf("deployments", typed);
  };
  const stream = id === null ? null : `deployments/${encoded(id)}/logs/stream`;
  return (
    <>
      <h1 tabIndex={-1}>Deployments</h1>
      <form className="card filters" onSubmit={onSubmit}>
        <label>
          Id of a deployment
          <input ref={field} defaultValue={id ?? ""} key={id} data-testid="deployment" />
        </label>
        <button type="submit">Show its log</button>
      </form>
      {stream !== null && id !== null && <LogPanel url={`${base}/${stream}`} title={oneLine(id)} tail={10_000} />}
      <Failure of={asked} />
      {asked.data && (
        <section className="card">
          <h2>With a log, the latest first</h2>
          {known.length ? (
            <ul className="links">
              {known.map(({ id, session }) => (
                <li key={id}>
                  <a href={hashOf("deployments", id)}>
                    <Name of={id} />
                  </a>{" "}
                  <span className="hint">{session.state === "ended" ? "ended" : `active ${saySeconds(session.idleSeconds)} ago`}</span>
                </li>
              ))}
            </ul>
          ) : (
            <p className="hint">none</p>
          )}
        </section>
      )}
      {stream !== null && <Snippets shown={{ path: stream, isStream: true }} />}
    </>
  );
}
