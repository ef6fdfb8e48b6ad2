/** What can be done from the keyboard. */
export type Command =
  "down" | "up" | "first" | "last" | "search" | "nextMatch" | "previousMatch" | "nextGap" | "pause" | "follow" | "whole";

const KEYS: Readonly<Record<string, Command>> = {
  j: "down",
  ArrowDown: "down",
  k: "up",
  ArrowUp: "up",
  g: "first",
  Home: "first",
  G: "last",
  End: "last",
  "/": "search",
  n: "nextMatch",
  N: "previousMatch",
  "]": "nextGap",
  p: "pause",
  f: "follow",
  Enter: "whole",
};

/** The command of a key, unless it is the browser's. */
export function commandOf({
  key,
  ctrlKey,
  metaKey,
  altKey,
}: Record<"ctrlKey" | "metaKey" | "altKey", boolean> & { key: string }): Command | undefined {
  return ctrlKey || metaKey || altKey || !Object.hasOwn(KEYS, key) ? undefined : KEYS[key];
}
