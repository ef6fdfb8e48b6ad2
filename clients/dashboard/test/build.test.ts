import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { ASSETS } from "./kit/assets.ts";

/** All of it, gzipped, bytes. */
const SIZE_MAX = 150_000;
const root = fileURLToPath(new URL("..", import.meta.url));

async function read(folder: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(folder)).sort();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)));
}

test("the committed files are what is built from these sources, byte by byte", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dashboard-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  // Not with the settings of the test runner: they would make another build.
  const { NODE_ENV: _, VITEST: __, ...env } = process.env;
  const vite = join(root, "node_modules/vite/bin/vite.js");
  await promisify(execFile)(process.execPath, [vite, "build", "--logLevel", "warn"], { cwd: root, env: { ...env, DASHBOARD_OUT: folder } });
  const [built, committed] = await Promise.all([read(folder), read(ASSETS)]);
  expect([...committed.keys()], "run npm run build in clients/dashboard, and commit crates/server/assets").toEqual([...built.keys()]);
  for (const [name, bytes] of built) expect(committed.get(name)?.equals(bytes), name).toBe(true);
});

test("the page is small: all of it, gzipped, is below 150 kB", async () => {
  const files = await read(ASSETS);
  const size = [...files.values()].reduce((all, bytes) => all + gzipSync(bytes).length, 0);
  expect(files.size).toBe(3);
  expect(size).toBeLessThan(SIZE_MAX);
});

test("the page has no inline script or style, and only relative addresses", async () => {
  const html = `${(await read(ASSETS)).get("index.html")}`;
  const scripts = html.match(/<script[^>]*>[^<]*<\/script>/g) ?? [];
  expect(scripts).toHaveLength(1);
  expect(scripts[0]).toMatch(/ src="\.\/dashboard-[0-9a-f]+\.js"><\/script>$/);
  expect(html).not.toMatch(/<style|\bstyle=|\bon[a-z]+=|javascript:/);
  for (const [, address = ""] of html.matchAll(/(?:src|href)="([^"]*)"/g)) expect(address).toMatch(/^(\.\/dashboard-[0-9a-f]+\.(js|css)|stats|data:image\/svg\+xml,.*)$/);
});
