// Where things are, and whether something has to be made anew.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** This application. */
export const here = fileURLToPath(new URL("..", import.meta.url));
const above = fileURLToPath(new URL("../../..", import.meta.url));
/** The repository that it stands in. A copy elsewhere has none: clients and hub are packages like others there. */
export const repository = existsSync(join(above, "clients/typescript/package.json")) ? above : undefined;
/** What it keeps, between two starts: the secret of its tokens, and the database. */
export const data = join(here, ".data");

const IGNORED = /(^|\/)(__pycache__|node_modules|target|\.venv)(\/|$)/;

/**
 * When a file, or something below a folder, changed last, milliseconds; 0 without it.
 * @param {string} path
 * @returns {number}
 */
export function changedAt(path) {
  if (!existsSync(path)) return 0;
  const own = statSync(path);
  if (!own.isDirectory()) return own.mtimeMs;
  const below = readdirSync(path, { withFileTypes: true }).filter(({ name }) => !IGNORED.test(name));
  return Math.max(0, ...below.map(({ name }) => changedAt(join(path, name))));
}

/**
 * Whether what was made is older than what it is made of.
 * @param {string} made
 * @param {...string} of
 */
export function isOlder(made, ...of) {
  const at = changedAt(made);
  return of.some((path) => changedAt(path) > at);
}
