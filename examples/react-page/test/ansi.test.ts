import { expect, test } from "vitest";
import { nameOf } from "../src/panels/controls.ts";
import { markMatches, parseAnsi, plainText, type Span } from "../src/panels/log/ansi.ts";
import { paintOf, rgbOf } from "../src/panels/log/colours.ts";
import { patternOf } from "../src/panels/log/search.ts";
import type { Style } from "../src/panels/log/sgr.ts";

const LIMITS = { charsMax: 1_000, spansMax: 100 };
const spans = (text: string, limits = LIMITS): readonly Span[] => parseAnsi(text, limits).spans;
/** The style of the last piece, without what was switched off. */
const styleAfter = (parameters: string): Style => {
  const style = spans(`\x1b[${parameters}mX`).at(-1)?.style ?? {};
  return Object.fromEntries(Object.entries(style).filter(([, value]) => value !== false && value !== undefined));
};

test.each<[parameters: string, style: Style]>([
  ["31", { text: 1 }],
  ["1;4;32", { bold: true, underline: true, text: 2 }],
  ["97;104", { text: 15, ground: 12 }],
  ["38;5;208", { text: 208 }],
  ["48;5;16", { ground: 16 }],
  ["38;2;1;2;3", { text: [1, 2, 3] }],
  ["38:2::1:2:3", { text: [1, 2, 3] }],
  ["38:2:1:2:3", { text: [1, 2, 3] }],
  ["38;5;208;1", { text: 208, bold: true }],
  ["38;2;1;2;3;4", { text: [1, 2, 3], underline: true }],
  ["58;5;1;1", { bold: true }],
  ["4:3", { underline: true }],
  ["4:3;4:0", {}],
  ["1;31;0", {}],
  ["1;31;", {}],
  ["", {}],
  ["31;39", {}],
  ["1;2;22", {}],
  ["7;27", {}],
  // Of no meaning here, or of none at all: they take their parameters and do nothing.
  ["8", {}],
  ["38;5;256;1", { bold: true }],
  ["38;2;1;2;999;1", { bold: true }],
  ["38", {}],
  ["38;9;1", { bold: true }],
  ["999", {}],
])("the style after %s", (parameters, style) => {
  expect(styleAfter(parameters)).toEqual(style);
});

test("256 colours are those of xterm", () => {
  expect([16, 21, 196, 231, 232, 255].map(rgbOf)).toEqual([
    [0, 0, 0],
    [0, 0, 255],
    [255, 0, 0],
    [255, 255, 255],
    [8, 8, 8],
    [238, 238, 238],
  ]);
  expect(rgbOf([1, 2, 3])).toEqual([1, 2, 3]);
});

test("on the page's ground the first 16 are the theme's; on a ground of its own text has the colours that were meant", () => {
  expect(paintOf({})).toBeUndefined();
  expect(paintOf({ text: 1 })).toEqual({ onPage: "var(--ansi-1)" });
  expect(paintOf({ text: 196 })).toEqual({ onPage: "rgb(255 0 0)" });
  expect(paintOf({ text: 15, ground: 17 })).toEqual({ text: "rgb(255 255 255)", ground: "rgb(0 0 95)" });
  expect(paintOf({ text: 15, ground: 17, inverse: true })).toEqual({ text: "rgb(0 0 95)", ground: "rgb(255 255 255)" });
  expect(paintOf({ inverse: true })).toEqual({ text: "var(--log-ground)", ground: "var(--log-ink)" });
  expect(paintOf({ ground: 3 })).toEqual({ text: "rgb(0 0 0)", ground: "rgb(205 205 0)" });
});

test("text that is to hide on its ground is seen", () => {
  expect(paintOf({ text: 0, ground: 0 })?.text).toBe("rgb(255 255 255)");
  expect(paintOf({ text: [250, 250, 255], ground: 15 })?.text).toBe("rgb(0 0 0)");
});

test("every control character but the tab is shown, and none is left", () => {
  const all = Array.from({ length: 0xa0 }, (_, code) => String.fromCharCode(code)).join("");
  const text = spans(all, { charsMax: 1_000, spansMax: 1_000 })
    .map((span) => span.text)
    .join("");
  expect(text).not.toMatch(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/);
  expect(text).toContain("␀␁");
  expect(text).toContain("␛");
  expect(text).toContain("\t");
  expect(text).toContain("␡");
  expect(text).toContain("‹U+009B›");
});

test("a sign tells what it stands for, also where the machine has no picture of it", () => {
  expect(["\x00", "\x1b", "\x7f", "\x9b"].map((character) => nameOf(plainText(character)))).toEqual([
    "U+0000",
    "U+001B",
    "U+007F",
    "U+009B",
  ]);
});

test("what turns the direction of the text is shown, not done", () => {
  expect(plainText("a\u202egpj.exe\u2066")).toBe("a‹U+202E›gpj.exe‹U+2066›");
});

test("sequences that are no colours are text: nothing moves, erases, links or rings", () => {
  expect(plainText("\x1b[2K\x1b[1A\x1b]8;;http://x\x07link")).toBe("␛[2K␛[1A␛]8;;http://x␇link");
  expect(plainText("\x1b[?25l\x1b[31mred")).toBe("␛[?25lred");
  expect(plainText(`\x1b[${"1;".repeat(100)}mX`)).toMatch(/^␛\[1;/);
});

test("colours leave nothing in the text", () => {
  expect(plainText("\x1b[1;32m   Compiling\x1b[0m hub v0.1.0")).toBe("   Compiling hub v0.1.0");
});

test("a long line is cut at a character, not in a sequence, and says how much is left", () => {
  expect(parseAnsi("ab😀cd", { charsMax: 3, spansMax: 9 })).toEqual({ spans: [{ text: "ab", style: {} }], left: 4 });
  expect(parseAnsi("ab\x1b[31mcd", { charsMax: 5, spansMax: 9 })).toEqual({ spans: [{ text: "ab", style: {} }], left: 7 });
});

test("a line of nothing but colours is as few pieces as allowed, and no text of it is lost", () => {
  const line = Array.from({ length: 500 }, (_, n) => `\x1b[3${n % 8}m${n % 10}\x00`).join("");
  const pieces = spans(line, { charsMax: 1e6, spansMax: 50 });
  expect(pieces.length).toBeLessThanOrEqual(50);
  expect(pieces.map((span) => span.text).join("")).toBe(plainText(line));
});

test("marks what was found, across pieces, whatever the case and the signs", () => {
  const found = (text: string, words: string): string[] =>
    markMatches(spans(text), patternOf(words) as RegExp)
      .filter((span) => span.isMatch)
      .map((span) => span.text);
  expect(found("\x1b[31mer\x1b[0mror: Error", "ERROR")).toEqual(["er", "ror", "Error"]);
  expect(found("a.b axb", "a.b")).toEqual(["a.b"]);
  expect(found("İstanbul x", "x")).toEqual(["x"]);
  expect(found("none", "some")).toEqual([]);
  const pieces = markMatches(spans("one \x1b[1mtwo\x1b[0m three"), patternOf("e t") as RegExp);
  expect(pieces.map((span) => span.text).join("")).toBe("one two three");
});
