"use client";
import { useRouter } from "next/navigation";
import type { ReactNode } from "react";
import { useSSEEvent, useSSEState, useSSEStatus } from "watertight/react";

/** Rendered on the server with the snapshot, and idle there; the events after it come in the browser. */
export function Orders({ snapshot }: { snapshot: { count: number; lastEventId: string } }): ReactNode {
  const stream = { sessionId: "orders", lastEventId: snapshot.lastEventId };
  const router = useRouter();
  const count = useSSEState<number, unknown>("order", (orders) => orders + 1, snapshot.count, stream);
  const state = useSSEStatus((status) => status.state, stream);
  // Events are missing: the server renders a snapshot anew.
  useSSEEvent("gap", () => router.refresh(), stream);
  return <p>{`${count} orders, ${state}`}</p>;
}
