// "Select graphic rendition" (ECMA-48, 8.3.117), with the colours of xterm.

/** One of 256, or red, green and blue. */
export type Colour = number | readonly [red: number, green: number, blue: number];

export interface Style {
  readonly text?: Colour | undefined;
  readonly ground?: Colour | undefined;
  readonly bold?: boolean;
  readonly dim?: boolean;
  readonly italic?: boolean;
  readonly underline?: boolean;
  readonly strike?: boolean;
  readonly inverse?: boolean;
}

export const PLAIN: Style = {};

/** What each parameter without a colour does. What hides text (8) does nothing: all text is shown. */
const SIMPLE: Readonly<Record<number, Style>> = {
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
  9: { strike: true },
  21: { underline: true },
  22: { bold: false, dim: false },
  23: { italic: false },
  24: { underline: false },
  27: { inverse: false },
  29: { strike: false },
  39: { text: undefined },
  49: { ground: undefined },
};

/** The style after a sequence, given what stands between its `[` and `m`. */
export function applySgr(style: Style, parameters: string): Style {
  const parts = parameters.split(";");
  for (let at = 0; at < parts.length; at++) {
    const part = parts[at] ?? "";
    const [code = 0, ...sub] = part.split(":").map(Number);
    if (code === 38 || code === 48 || code === 58) {
      // `38:2::1:2:3` is one parameter; `38;2;1;2;3` goes on in those that follow.
      const isOne = part.includes(":");
      const rest = isOne ? sub : parts.slice(at + 1, at + 5).map(Number);
      const [colour, used] = readColour(rest, isOne);
      if (!isOne) at += used;
      // 58 is the colour of the underline, which is that of the text here.
      if (colour !== undefined && code !== 58) style = { ...style, [code === 38 ? "text" : "ground"]: colour };
    } else style = applyCode(style, code, sub);
  }
  return style;
}

function applyCode(style: Style, code: number, [sub]: number[]): Style {
  if (code === 0) return PLAIN;
  // `4:0` takes the underline away, `4:3` is a curly one.
  if (code === 4 && sub === 0) return { ...style, underline: false };
  if (code >= 30 && code <= 37) return { ...style, text: code - 30 };
  if (code >= 40 && code <= 47) return { ...style, ground: code - 40 };
  if (code >= 90 && code <= 97) return { ...style, text: code - 90 + 8 };
  if (code >= 100 && code <= 107) return { ...style, ground: code - 100 + 8 };
  const change = Object.hasOwn(SIMPLE, code) ? SIMPLE[code] : undefined;
  return change ? { ...style, ...change } : style;
}

/** The colour after 38 or 48, and how many parameters it took. A colour that is none takes its parameters, too. */
function readColour([kind, ...values]: number[], isOne: boolean): [colour: Colour | undefined, used: number] {
  if (kind === 5) {
    const [index = NaN] = values;
    return [isByte(index) ? index : undefined, 2];
  }
  if (kind !== 2) return [undefined, 1];
  // With colons a colour space may stand before the three.
  const [red = NaN, green = NaN, blue = NaN] = isOne && values.length > 3 ? values.slice(1) : values;
  return [[red, green, blue].every(isByte) ? [red, green, blue] : undefined, 4];
}

function isByte(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 255;
}
