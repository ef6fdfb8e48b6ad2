import { useState } from "react";
import { LogPanel } from "../../react-page/src/panels/log/LogPanel.tsx";
import { ApiError, call } from "./api.ts";
import { hasLog, sayState, sayTook, type Deployment } from "./deployments.ts";
import { Owner } from "./Owner.tsx";
import { Stream, urlOf, useSite } from "./site.tsx";
import { useDeployments } from "./useDeployments.ts";

const PROJECTS = ["site", "pages", "broken"];

/** The list of deployments, and the log of one. */
export function Deployments() {
  return (
    <Stream name="list">
      <List />
    </Stream>
  );
}

function List() {
  const { deployments, sse, add } = useDeployments();
  const [picked, setPicked] = useState(() => new URLSearchParams(location.search).get("deployment"));
  const [problem, setProblem] = useState("");
  const known = deployments.find(({ id }) => id === picked);

  const begin = async (project: string): Promise<void> => {
    setProblem("");
    try {
      const made = await call<Deployment>("POST", "/deployments", { project });
      add(made);
      setPicked(made.id);
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : `${error}`);
    }
  };
  return (
    <>
      <section className="card" aria-labelledby="deployments">
        <div className="title">
          <h2 id="deployments">Deployments</h2>
          <p className="hint" role="status" data-testid="list-state" data-state={sse.connectionState}>
            {sse.isConnected ? "live" : sse.connectionState}
          </p>
        </div>
        <p className="buttons">
          {PROJECTS.map((project) => (
            <button key={project} type="button" data-testid={`build-${project}`} onClick={() => void begin(project)}>
              Build {project}
            </button>
          ))}
        </p>
        {problem && (
          <p role="alert" data-testid="problem">
            {problem}
          </p>
        )}
        <ul className="deployments" data-testid="deployments">
          {deployments.map((one) => (
            <li key={one.id} data-id={one.id} data-state={one.state} data-exit-code={one.exitCode ?? undefined}>
              <button type="button" aria-pressed={one.id === picked} onClick={() => setPicked(one.id)}>
                <code>{one.id}</code>
                <span>{sayState(one)}</span>
                <span className="hint number">{sayTook(one)}</span>
              </button>
            </li>
          ))}
        </ul>
        {!deployments.length && <p className="hint">None yet.</p>}
      </section>
      {picked && <Log id={picked} isThere={!known || hasLog(known)} />}
    </>
  );
}

function Log({ id, isThere }: { id: string; isThere: boolean }) {
  const site = useSite();
  return (
    <>
      <Owner id={id} />
      {isThere ? (
        <Stream name="log">
          <LogPanel url={urlOf(site, `/deployments/${encodeURIComponent(id)}/logs/stream`)} title={id} />
        </Stream>
      ) : (
        <p className="card" role="status" data-testid="log-gone">
          The log of {id} was let go: logs are kept for seven days after their end.
        </p>
      )}
    </>
  );
}
