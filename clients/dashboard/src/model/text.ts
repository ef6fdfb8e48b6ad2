import { CONTROL, picture } from "../../../../examples/react-page/src/panels/controls.ts";

/** Control characters but the line feed, and what has no width: two names that look alike are to look different. */
const HIDDEN = /[\u00ad\u034f\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb]/g;
const CONTROLS = new RegExp(CONTROL, "g");

/** Text of somebody else's, on one line: what cannot be seen, or would turn what follows, is a sign. */
export function oneLine(text: string): string {
  return text.replace(CONTROLS, picture).replace(HIDDEN, picture).toWellFormed();
}

/** The same with its lines kept. */
export function manyLines(text: string): string {
  return text
    .split("\n")
    .map((line) => oneLine(line))
    .join("\n");
}

/** The first characters of a text, and how many more there are. */
export function clip(text: string, max: number): { readonly text: string; readonly more: number } {
  return text.length <= max ? { text, more: 0 } : { text: text.slice(0, max), more: text.length - max };
}
