// A gap is typed wherever it is listened to. Compiled, never run.
import type { Gap } from "watertight";
import { useSSEEvent, useSSEState } from "watertight/react";
import { sseState } from "watertight/svelte";
import * as vue from "watertight/vue";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};
const stream = { sessionId: "s" };
const missing = (sum: number, gap: Gap): number => sum + (gap.missed ?? 0);

export function Gaps(): unknown[] {
  useSSEEvent("gap", (gap, event) => {
    same<typeof gap, Gap>(true);
    same<typeof event.data, Gap>(true);
  });
  vue.useSSEEvent("gap", (gap) => same<typeof gap, Gap>(true), stream);
  const sums = [useSSEState("gap", missing, 0), vue.useSSEState("gap", missing, 0, stream), sseState("gap", missing, 0, stream)];
  // Said otherwise, it is otherwise; and any other type is as it was.
  useSSEEvent<{ mine: 1 }>("gap", ({ mine }) => mine);
  useSSEEvent("tick", (tick) => same<0 extends 1 & typeof tick ? "any" : "other", "any">(true));
  vue.useSSEEvent("tick", (tick) => same<typeof tick, unknown>(true), stream);
  useSSEState("gap", (last: string | undefined, { reason }) => reason ?? last, undefined);
  // @ts-expect-error a gap has no such field
  useSSEEvent("gap", (gap) => gap.n);
  return sums;
}
