import type { ReactNode } from "react";
import { Orders } from "./orders";

/** The application's own: what is there, and the id of the last event that is in it. */
async function loadOrders(): Promise<{ count: number; lastEventId: string }> {
  return { count: 3, lastEventId: "" };
}

export default async function Page(): Promise<ReactNode> {
  return <Orders snapshot={await loadOrders()} />;
}
