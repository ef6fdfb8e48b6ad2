"use client";
import { createContext, createElement, useContext, type ReactElement, type ReactNode } from "react";
import type { EventMap } from "../index.ts";
import type { UseSSEOptions } from "./types.ts";

/** Defaults for all hooks below, as props. No `key`: React keeps that prop for itself. */
export interface SSEProviderProps<Events extends object = EventMap> extends Omit<UseSSEOptions<Events>, "key"> {
  children?: ReactNode;
}

export const Defaults = createContext<UseSSEOptions<any>>({});

/**
 * Gives all hooks below it their defaults: `baseUrl`, `token`, `fetch`, whatever {@link UseSSEOptions} has. Providers may be
 * nested, and the nearest one that gives an option decides; hooks work without any. Opens nothing by itself.
 */
export function SSEProvider<Events extends object = EventMap>({
  children,
  ...options
}: SSEProviderProps<Events>): ReactElement {
  return createElement(Defaults.Provider, { value: over(useContext(Defaults), options) }, children);
}

/** `options` where they say something, else `defaults`. */
export function over(defaults: UseSSEOptions<any>, options: UseSSEOptions<any>): UseSSEOptions<any> {
  const merged: Record<string, unknown> = { ...defaults };
  // The nearer word on which stream is meant, also where the farther one names it in the other way.
  if (options.sessionId !== undefined) delete merged["url"];
  for (const [name, value] of Object.entries(options)) if (value !== undefined) merged[name] = value;
  return merged;
}
