import { createSSEHooks } from "watertight/react";
import type { Events } from "./network.ts";

/** The hooks, with the types of this session's events. */
export const { useSSE, useSSEEvent, useSSEState } = createSSEHooks<Events>();

/** Which session to show: `?session=…`. */
export const session = new URLSearchParams(globalThis.location?.search).get("session") || "agents";
