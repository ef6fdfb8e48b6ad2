// Builds pages from Markdown with nothing but Node.js: quick, so that many can be built at once.
//
//   node build.mjs OUTPUT_FOLDER
//
// `SLOWLY` waits so many milliseconds before each page: a build that one can watch. After SIGUSR2 it waits no more.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const output = process.argv[2];
if (!output) throw new Error("name the folder for the output");
const source = fileURLToPath(new URL("pages", import.meta.url));
const pause = Number(process.env.SLOWLY ?? 0);
const hurry = new AbortController();
process.on("SIGUSR2", () => hurry.abort());

const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** Headings, lists and paragraphs; no more is needed here. */
function toHtml(markdown) {
  return markdown
    .split(/\n{2,}/)
    .map((block) => block.trim())
    .filter(Boolean)
    .map((block) => {
      const [, marks = "", heading = ""] = /^(#+) (.*)$/.exec(block) ?? [];
      if (marks) return `<h${marks.length}>${escape(heading)}</h${marks.length}>`;
      const lines = block.split("\n");
      if (!lines.every((line) => line.startsWith("- "))) return `<p>${escape(block)}</p>`;
      return `<ul>${lines.map((line) => `<li>${escape(line.slice(2))}</li>`).join("")}</ul>`;
    })
    .join("\n");
}

await mkdir(output, { recursive: true });
const names = (await readdir(source)).filter((name) => name.endsWith(".md")).sort();
console.log(`\x1b[1mpages\x1b[0m: ${names.length} to build`);
let bytes = 0;
for (const [index, name] of names.entries()) {
  if (pause) await sleep(pause, undefined, { signal: hurry.signal }).catch(() => {});
  const markdown = await readFile(join(source, name), "utf8");
  const [title = name] = /^# .*$/m.exec(markdown) ?? [];
  const html = `<!doctype html>\n<meta charset="utf-8">\n<title>${escape(title.replace(/^# /, ""))}</title>\n${toHtml(markdown)}\n`;
  await writeFile(join(output, name.replace(/\.md$/, ".html")), html);
  bytes += html.length;
  console.log(`[${index + 1}/${names.length}] \x1b[36m${name}\x1b[0m ${html.length} bytes`);
  if (/TODO/.test(markdown)) console.error(`\x1b[33mwarning\x1b[0m: ${name} has something left to do`);
}
console.log(`\x1b[32mdone\x1b[0m: ${bytes} bytes`);
