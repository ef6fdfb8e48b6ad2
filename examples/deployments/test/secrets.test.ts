import { mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { setStage, type Stage } from "./kit/stage.ts";

// What the page's server gives away. Everything is kept where `npm start` keeps it: in `data`, beside the page.

const root = fileURLToPath(new URL("..", import.meta.url));
let stage: Stage;
let folder: string;

beforeAll(async () => {
  mkdirSync(`${root}data`, { recursive: true });
  stage = await setStage({ below: `${root}data` });
  folder = dirname(stage.platform.secretFile);
});
afterAll(() => stage?.stop());

/** What of `file` comes back, however it is asked for. */
async function fetched(file: string): Promise<string[]> {
  const { origin } = new URL(stage.platform.pageUrl);
  const below = file.slice(root.length);
  const paths = [`/${below}`, `/@fs${file}`, `/@fs/${file}`, `/../${below}`, `/..%2f${below}`, `/@fs${root}src/..%2f${below}`, `/@id/${file}`];
  const queries = ["", "?raw", "?import&raw", "?url", "?inline&import", "?raw??"];
  const urls = paths.flatMap((path) => queries.map((query) => origin + path + query));
  return Promise.all(urls.map(async (url) => (await fetch(url, { headers: { "sec-fetch-dest": "script" } })).text()));
}

test("nothing of what the platform keeps comes from the page's server, by whatever path it is asked for", async () => {
  for (const name of ["secret", "hub.toml", "redis/appendonlydir/appendonly.aof.manifest"]) {
    const [first = ""] = readFileSync(`${folder}/${name}`, "utf8").split("\n");
    expect(first.length).toBeGreaterThan(10);
    const answers = await fetched(`${folder}/${name}`);
    expect(answers.filter((answer) => answer.includes(first) || answer.includes(btoa(first).slice(0, 12)))).toEqual([]);
  }
  // The page is there.
  expect(await (await fetch(stage.platform.pageUrl)).text()).toContain("<title>Deployments</title>");
});

test("no page of another port of this machine reads what the page's server says", async () => {
  for (const path of ["", "main.tsx", "api/session"]) {
    const answer = await fetch(stage.platform.pageUrl + path, { headers: { origin: "http://127.0.0.1:9999" } });
    expect([path, answer.headers.get("access-control-allow-origin")]).toEqual([path, null]);
  }
});
