/** Figures in words. What is not known is a dash, never 0. */
export const UNKNOWN = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const known = (value: number | null | undefined): value is number => typeof value === "number" && Number.isFinite(value);

export const sayCount = (value: number | null | undefined): string => (known(value) ? whole.format(value) : UNKNOWN);

/** A rate: with a decimal while it is small. */
export const sayRate = (value: number | null | undefined): string =>
  known(value) ? `${(value < 10 ? fine : whole).format(value)}/s` : UNKNOWN;

export function sayBytes(value: number | null | undefined): string {
  if (!known(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let size = value;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${(size < 10 && unit ? fine : whole).format(size)} ${units[unit]}`;
}

export function sayMs(value: number | null | undefined): string {
  if (!known(value)) return UNKNOWN;
  if (value >= 1_000) return `${fine.format(value / 1_000)} s`;
  return `${value < 10 ? Number(value.toPrecision(2)) : whole.format(value)} ms`;
}

/** How long, in the two largest units. */
export function saySeconds(value: number | null | undefined): string {
  if (!known(value)) return UNKNOWN;
  const seconds = Math.max(0, Math.floor(value));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([count], index) => count > 0 || index === 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}
