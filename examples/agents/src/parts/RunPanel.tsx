import { isRunOver, type Run } from "../model/run.ts";
import { RUN } from "../watch/models.ts";
import { useWatch } from "../watch/useWatch.ts";
import { Connection } from "./Connection.tsx";
import { STATUS } from "./RunRows.tsx";
import { Tools } from "./Tools.tsx";

/** One run, live: text as it is written, tools as they are called, progress, and the end. */
export function RunPanel({ run: id, user }: { run: string; user: string }) {
  const watched = useWatch(`/api/runs/${encodeURIComponent(id)}/watch`, user, RUN);
  const { view } = watched;
  const { run, gaps, mended, applied, repeated } = view;
  return (
    <section
      className="card run"
      aria-label="Run"
      data-testid="run"
      data-id={id}
      data-n={run?.n}
      data-status={run?.status}
      data-gaps={gaps}
      data-mended={mended}
      data-applied={applied}
      data-repeated={repeated}
    >
      <Connection name="run" {...watched} isOver={isRunOver(view)} />
      {run && <Shown run={run} />}
    </section>
  );
}

function Shown({ run }: { run: Run }) {
  const { task, status, done, total, label, note, text, tools } = run;
  return (
    <>
      <h2 data-testid="run-task">{task}</h2>
      <p className="progress">
        <progress max={Math.max(total, 1)} value={done} data-testid="progress" /> <span data-testid="label">{label}</span>
      </p>
      <Tools tools={tools} />
      <p className="text" data-testid="text">
        {text}
      </p>
      {status !== "running" && (
        <p className="end" data-testid="end" data-status={status}>
          <strong>This run is {STATUS[status]}.</strong> {note}
        </p>
      )}
    </>
  );
}
