"use client";
import {
  createContext,
  createElement,
  useContext,
  useInsertionEffect,
  useMemo,
  useRef,
  useState,
  type ReactElement,
  type ReactNode,
} from "react";
import type { EventMap } from "../index.ts";
import { over } from "../store/options.ts";
import type { UseSSEOptions } from "./types.ts";

/** Defaults for all hooks below, as props. No `key`: React keeps that prop for itself; `identity` does the same. */
export interface SSEProviderProps<Events extends object = EventMap> extends Omit<UseSSEOptions<Events>, "key"> {
  children?: ReactNode;
}

export const Defaults = createContext<UseSSEOptions<any>>({});

/**
 * Gives all hooks below it their defaults: `baseUrl`, `token`, `fetch`, whatever {@link UseSSEOptions} has. Providers may be
 * nested, and the nearest one that gives an option decides; hooks work without any. Opens nothing by itself.
 *
 * Rendering it again renders nobody below it, unless an option that is no function has changed; functions are always those of
 * the latest render.
 */
export function SSEProvider<Events extends object = EventMap>({
  children,
  ...options
}: SSEProviderProps<Events>): ReactElement {
  const outer = useContext(Defaults);
  const own = useSteady(options);
  const value = useMemo(() => over(outer, own), [outer, own]);
  return createElement(Defaults.Provider, { value }, children);
}

type Options = Record<string, unknown>;

/** The same object as long as nothing in it changes but functions; those it has call the latest ones. */
function useSteady(options: Options): Options {
  const latest = useRef(options);
  useInsertionEffect(() => {
    latest.current = options;
  });
  const wrap = (): Options => {
    const wrapped: Options = { ...options };
    for (const [name, value] of Object.entries(options)) {
      if (typeof value !== "function") continue;
      wrapped[name] = (...args: unknown[]) => (latest.current[name] as typeof value | undefined)?.(...args);
    }
    return wrapped;
  };
  const [steady, setSteady] = useState(wrap);
  if (isSame(steady, options)) return steady;
  const next = wrap();
  setSteady(next);
  return next;
}

/** Whether two records have the same entries; functions count as the same, records as what they have. */
export function isSame(one: Options, other: Options): boolean {
  return haveSameEntries(one, other, (a, b) => {
    if (typeof a === "function" && typeof b === "function") return true;
    // Inline headers and parsers: the same if their entries are.
    return isPlain(a) && isPlain(b) ? haveSameEntries(a, b, Object.is) : Object.is(a, b);
  });
}

function haveSameEntries(one: Options, other: Options, isSameValue: (a: unknown, b: unknown) => boolean): boolean {
  return Object.keys({ ...one, ...other }).every((name) => isSameValue(one[name], other[name]));
}

function isPlain(value: unknown): value is Options {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
