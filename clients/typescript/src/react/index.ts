"use client";
/**
 * React hooks for Watertight, for React 18.3 and 19.
 *
 * @packageDocumentation
 */
export { SSEErrorBoundary, type SSEErrorBoundaryFallbackProps, type SSEErrorBoundaryProps } from "./boundary.ts";
export { createSSEHooks, useSSE, useSSEEvent, useSSEState, useSSEStatus } from "./hooks.ts";
export { SSEProvider, type SSEProviderProps } from "./provider.ts";
export type { SSEHooks, UseSSEOptions, UseSSEReturn } from "./types.ts";
export { SSEError } from "../index.ts";
export type { CloseReason, ConnectionState, ConnectionStatus, EventMap, Gap, SSEEvent } from "../index.ts";
export type { Reducer } from "../store/fold.ts";
export type { StreamOptions } from "../store/options.ts";
