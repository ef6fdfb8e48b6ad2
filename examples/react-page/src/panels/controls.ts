/**
 * Characters that are not to reach the page as they are, for a regular expression: C0 (but for the tab), DEL, C1, and those
 * that turn the direction of what follows or break lines.
 */
export const CONTROL = "[\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]";

const CONTROLS = new RegExp(CONTROL, "g");

/** A sign that stands for a control character. */
export function picture(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
}

/** The character that a sign stands for, by its code. */
export function nameOf(sign: string): string {
  const code = sign.charCodeAt(0);
  if (sign.length > 1) return sign.slice(1, -1);
  return `U+${(code === 0x2421 ? 0x7f : code - 0x2400).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** A text with signs for its control characters. */
export function showControls(text: string): string {
  return text.replace(CONTROLS, picture);
}
