// Terminal output as pieces of text: colours and weights (SGR) become styles, every other control character is shown, and
// nothing is run. Knows nothing of the page.
import { CONTROL, picture } from "../controls.ts";
import { applySgr, PLAIN, type Style } from "./sgr.ts";

/** A piece of a line that looks the same throughout. */
export interface Span {
  readonly text: string;
  readonly style: Style;
  /** It stands for a control character. */
  readonly isControl?: true;
  /** It is part of what was searched for. */
  readonly isMatch?: true;
}

/** How much of a line becomes elements. */
export interface Limits {
  /** UTF-16 units of what came. */
  readonly charsMax: number;
  readonly spansMax: number;
}

/** A line in pieces. */
export interface Styled {
  readonly spans: readonly Span[];
  /** How much of the line is not among them, UTF-16 units of what came. */
  readonly left: number;
}

/** An SGR sequence of a length that somebody means, or a control character. */
const TOKEN = new RegExp(`\\x1b\\[[\\d;:]{0,64}m|${CONTROL}`);
const TOKENS = new RegExp(TOKEN, "g");

/** Cuts a line in pieces. Beyond `spansMax` the rest is one piece without a style. */
export function parseAnsi(line: string, { charsMax, spansMax }: Limits): Styled {
  const cut = line.slice(0, isPair(line, charsMax) ? charsMax - 1 : charsMax);
  // A sequence that we cut in the middle is none of the line's own text.
  const text = cut.length < line.length ? cut.replace(/\x1b(\[[\d;:]*)?$/, "") : cut;
  const spans: Span[] = [];
  let style = PLAIN;
  let at = 0;
  for (const { 0: token, index } of text.matchAll(TOKENS)) {
    // One for what stands before it, one for itself, one for the rest.
    if (spans.length + 3 > spansMax) break;
    if (index > at) spans.push({ text: text.slice(at, index), style });
    if (token.length > 1) style = applySgr(style, token.slice(2, -1));
    else spans.push({ text: picture(token), style, isControl: true });
    at = index + token.length;
  }
  const rest = text.slice(at);
  if (rest) spans.push({ text: plainText(rest), style: rest === plainText(rest) ? style : PLAIN });
  return { spans, left: line.length - text.length };
}

/** What is seen of a line: what a search looks at. */
export function plainText(line: string): string {
  return TOKEN.test(line) ? line.replace(TOKENS, (token) => (token.length > 1 ? "" : picture(token))) : line;
}

/** Whether a cut at `index` would part a surrogate pair. */
function isPair(text: string, index: number): boolean {
  return /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(index - 1, index + 1));
}

/** How many places in one line are marked. */
const MARKS_MAX = 100;

/** Cuts the pieces once more, at what `pattern` (global) finds in the whole of their text. */
export function markMatches(spans: readonly Span[], pattern: RegExp): readonly Span[] {
  const text = spans.map((span) => span.text).join("");
  const found: [from: number, to: number][] = [];
  for (const { 0: match, index } of text.matchAll(pattern)) {
    if (!match || found.length >= MARKS_MAX) break;
    found.push([index, index + match.length]);
  }
  if (!found.length) return spans;
  const marked: Span[] = [];
  let start = 0;
  let next = 0;
  for (const span of spans) {
    const end = start + span.text.length;
    for (let at = start; at < end;) {
      while ((found[next]?.[1] ?? Infinity) <= at) next++;
      const [from, to] = found[next] ?? [end, end];
      const isMatch = at >= from;
      const until = Math.min(end, isMatch ? to : from);
      marked.push({ ...span, text: text.slice(at, until), ...(isMatch && { isMatch }) });
      at = until;
    }
    start = end;
  }
  return marked;
}
