// The colours of a terminal in CSS, so that all text can be read, on whatever ground.
import type { Colour, Style } from "./sgr.ts";

type Rgb = readonly [red: number, green: number, blue: number];

/** The first 16 as xterm has them, for text on a ground of its own. On the page's ground they are the theme's. */
const XTERM: readonly Rgb[] = [
  [0, 0, 0],
  [205, 0, 0],
  [0, 205, 0],
  [205, 205, 0],
  [0, 0, 238],
  [205, 0, 205],
  [0, 205, 205],
  [229, 229, 229],
  [127, 127, 127],
  [255, 0, 0],
  [0, 255, 0],
  [255, 255, 0],
  [92, 92, 255],
  [255, 0, 255],
  [0, 255, 255],
  [255, 255, 255],
];
/** Text that stands out less from its ground cannot be read (WCAG has 4.5 for good; here the colours are somebody's choice). */
const CONTRAST_MIN = 2;

/** What to paint text and ground with. */
export interface Paint {
  /** On the page's own ground: the style sheet keeps it readable there. */
  readonly onPage?: string;
  readonly text?: string;
  readonly ground?: string;
}

/** @returns `undefined` where the page's own colours are meant */
export function paintOf({ text, ground, inverse }: Style): Paint | undefined {
  if (text === undefined && ground === undefined) {
    return inverse ? { text: "var(--log-ground)", ground: "var(--log-ink)" } : undefined;
  }
  const [ink, paper] = inverse ? [ground, text] : [text, ground];
  if (paper === undefined) return inverse ? { text: "var(--log-ground)", ground: onPage(ink) } : { onPage: onPage(ink) };
  const below = rgbOf(paper);
  const above = ink === undefined ? undefined : rgbOf(ink);
  const canBeRead = above && contrast(above, below) >= CONTRAST_MIN;
  return { text: css(canBeRead ? above : luminance(below) > 0.18 ? [0, 0, 0] : [255, 255, 255]), ground: css(below) };
}

function onPage(colour: Colour = 7): string {
  return typeof colour === "number" && colour < 16 ? `var(--ansi-${colour})` : css(rgbOf(colour));
}

function css(rgb: Rgb): string {
  return `rgb(${rgb.join(" ")})`;
}

/** The colour cube of xterm, and its greys. */
export function rgbOf(colour: Colour): Rgb {
  if (typeof colour !== "number") return colour;
  const named = XTERM[colour];
  if (named) return named;
  const grey = 8 + (colour - 232) * 10;
  if (colour >= 232) return [grey, grey, grey];
  const level = (step: number): number => (step ? 55 + step * 40 : 0);
  const cube = colour - 16;
  return [level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)];
}

/** As WCAG 2 has it. */
function luminance(rgb: Rgb): number {
  const [red = 0, green = 0, blue = 0] = rgb.map((byte) =>
    byte <= 10 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: Rgb, other: Rgb): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}
