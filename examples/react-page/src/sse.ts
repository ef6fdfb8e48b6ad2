import { createSSEHooks } from "watertight/react";
import { ROWS, ROWS_MAX } from "./journal/journal.ts";
import type { Events } from "./network.ts";

/** The hooks, with the types of this session's events. */
export const { useSSE, useSSEEvent, useSSEState } = createSSEHooks<Events>();

const asked = new URLSearchParams(globalThis.location?.search);

/** Which session to show: `?session=…`. */
export const session = asked.get("session") || "agents";

/** How many rows the log keeps: `?rows=…`. */
export const rowsMax = Math.min(Math.max(Math.trunc(Number(asked.get("rows"))) || ROWS, 1), ROWS_MAX);
