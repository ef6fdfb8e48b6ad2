// What a page knows of a run: a snapshot, and the steps that came after it. The service's half is `steps.py`.
//
// Steps have numbers without holes. What is known up to `n` is applied, what was told already is passed over, and what is
// ahead of a hole waits until a snapshot fills it. So each step counts once, however it came: live, again after a
// reconnect, doubled by a publisher that had no answer from a hub that died, or within a snapshot.

export type Status = "running" | "done" | "failed" | "interrupted";

/** A row of the list of runs. Of two rows of one run the one with the greater `n` is the newer. */
export interface Summary {
  readonly id: string;
  readonly task: string;
  readonly status: Status;
  readonly done: number;
  readonly total: number;
  /** Seconds since 1970. */
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly n: number;
}

export interface ToolCall {
  readonly call: number;
  readonly name: string;
  readonly input: string;
  /** `null` while it works. */
  readonly output: string | null;
  readonly ok: boolean;
}

/** All that the first `n` steps of a run amount to. */
export interface Run extends Summary {
  readonly label: string;
  readonly note: string;
  readonly text: string;
  readonly tools: readonly ToolCall[];
}

/** A step, as an event carries it. */
export type Step =
  | { readonly kind: "text"; readonly n: number; readonly text: string }
  | { readonly kind: "tool"; readonly n: number; readonly call: number; readonly name: string; readonly input: string }
  | { readonly kind: "tool-result"; readonly n: number; readonly call: number; readonly output: string; readonly ok: boolean }
  | { readonly kind: "progress"; readonly n: number; readonly done: number; readonly total: number; readonly label: string }
  | { readonly kind: "end"; readonly n: number; readonly status: Status; readonly note: string; readonly endedAt: number };

/** How many steps may wait behind a hole. Beyond that they are let go: the snapshot has them. */
export const AHEAD_MAX = 1_000;

export interface RunView {
  readonly run: Run | null;
  /** Steps that came before others that are missing, by their numbers. */
  readonly ahead: ReadonlyMap<number, Step>;
  /** The greatest number that was heard of. */
  readonly heard: number;
  /** How often the hub told that events are missing; and up to which of these times a later snapshot has mended it. */
  readonly gaps: number;
  readonly mended: number;
  /** How many steps came live and counted, and how many came again and did not. */
  readonly applied: number;
  readonly repeated: number;
}

export const NO_RUN: RunView = { run: null, ahead: new Map(), heard: 0, gaps: 0, mended: 0, applied: 0, repeated: 0 };

/** Whether steps are missing that only a snapshot can bring. */
export function isRunStale({ run, heard, gaps, mended }: RunView): boolean {
  return run === null || heard > run.n || gaps > mended;
}

export function isRunOver({ run }: RunView): boolean {
  return run !== null && run.status !== "running";
}

/** @param gaps how many gaps were known when the snapshot was asked for: it mends those, and none that came later */
export function withRunSnapshot(view: RunView, snapshot: Run, gaps: number): RunView {
  // An older one, overtaken on its way, takes nothing back.
  const run = view.run && view.run.n > snapshot.n ? view.run : snapshot;
  return drain({ ...view, run, mended: Math.max(view.mended, gaps), heard: Math.max(view.heard, run.n) });
}

export function withRunGap(view: RunView): RunView {
  return { ...view, gaps: view.gaps + 1 };
}

export function withStep(view: RunView, step: Step): RunView {
  const { run, ahead } = view;
  const heard = Math.max(view.heard, step.n);
  if ((run && step.n <= run.n) || ahead.has(step.n)) return { ...view, repeated: view.repeated + 1 };
  const isRoom = ahead.size < AHEAD_MAX;
  return drain({ ...view, heard, ahead: isRoom ? new Map(ahead).set(step.n, step) : new Map() });
}

/** Applies what waits, as far as it goes on where the run is. */
function drain(view: RunView): RunView {
  let { run, applied } = view;
  if (run === null || view.ahead.size === 0) return view;
  const ahead = new Map(view.ahead);
  for (let next = ahead.get(run.n + 1); next; next = ahead.get(run.n + 1)) {
    ahead.delete(next.n);
    run = apply(run, next);
    applied++;
  }
  for (const n of ahead.keys()) if (n <= run.n) ahead.delete(n);
  return { ...view, run, applied, ahead };
}

function apply(run: Run, step: Step): Run {
  const { n } = step;
  switch (step.kind) {
    case "text":
      return { ...run, n, text: run.text + step.text };
    case "tool":
      return { ...run, n, tools: [...run.tools, { call: step.call, name: step.name, input: step.input, output: null, ok: true }] };
    case "tool-result": {
      const { call, output, ok } = step;
      return { ...run, n, tools: run.tools.map((each) => (each.call === call ? { ...each, output, ok } : each)) };
    }
    case "progress":
      return { ...run, n, done: step.done, total: step.total, label: step.label };
    case "end":
      return { ...run, n, status: step.status, note: step.note, endedAt: step.endedAt };
  }
}

const KINDS: readonly string[] = ["text", "tool", "tool-result", "progress", "end"] satisfies Step["kind"][];

/** An event as a step, if it is one. */
export function toStep(type: string, data: unknown): Step | undefined {
  if (type !== "step" || typeof data !== "object" || data === null) return undefined;
  const step = data as Step;
  return KINDS.includes(step.kind) && Number.isInteger(step.n) ? step : undefined;
}
