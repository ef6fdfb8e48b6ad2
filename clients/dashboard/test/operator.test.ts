import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { buildHub, startHub } from "../../../examples/react-page/scripts/hub.mjs";
import { launch, visit, type Visit } from "./kit/browser.ts";

/** As hostile as the name of a user may be. */
const USER = `ada <b>&\u202e`;

let browser: Browser;
let hub: Awaited<ReturnType<typeof startHub>>;
let folder: string;
let binary: string;
let visits: Visit[];

beforeAll(async () => {
  binary = process.env["WATERTIGHT_BIN"] ?? (await buildHub({ release: false }));
  folder = await mkdtemp(join(tmpdir(), "dashboard-"));
  const secret = join(folder, "secret");
  await writeFile(secret, "no secret but that of a test, long enough");
  hub = await startHub({
    binary,
    log: () => {},
    settings: {
      WATERTIGHT_TOKEN_SECRET_FILE: secret,
      WATERTIGHT_TOKEN_COOKIE: "operator",
    },
  });
  browser = await launch();
}, 1_800_000);
afterAll(async () => {
  await browser?.close();
  await hub?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  visits = [];
});
afterEach(async () => {
  for (const { context } of visits) await context.close();
  for (const { errors } of visits) expect(errors).toEqual([]);
});

async function open(hash: string): Promise<Visit> {
  const it = await visit(browser, `${hub.url}/${hash}`);
  visits.push(it);
  return it;
}

async function token(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(binary, ["token", "--secret-file", join(folder, "secret"), ...args]);
  return stdout.trim();
}

const operator = (): Promise<string> => token("--sub", "operator", "--admin", "--subscribe", "**");

async function signIn({ page }: Visit): Promise<void> {
  await page.getByTestId("token").fill(await operator());
  await page.keyboard.press("Enter");
}

interface Reading {
  /** All that came, once it has ended. */
  readonly text: Promise<string>;
}

/** A stream, until it or the test ends. */
async function read(path: string, bearer: string): Promise<Reading> {
  const ended = new AbortController();
  onTestFinished(() => ended.abort());
  const answer = await fetch(`${hub.url}/${path}`, { headers: { authorization: `Bearer ${bearer}` }, signal: ended.signal });
  expect(answer.status).toBe(200);
  const text = answer.text();
  text.catch(() => {});
  return { text };
}

test("a hub with a key shows nothing until somebody signs in, and forgets them with the page", async () => {
  const it = await open("#/overview");
  await it.page.getByTestId("sign-in").waitFor();
  expect(await it.page.getByTestId("figure-subscribers").count()).toBe(0);
  await signIn(it);
  await expect.poll(() => it.page.getByTestId("figure-subscribers").textContent()).toBe("1");
  await it.page.reload();
  await it.page.getByTestId("sign-in").waitFor();
});

test("who has the cookie of the hub needs no sign-in, and may close and end", async () => {
  const { page, context } = await open("#/access");
  await context.addCookies([{ name: "operator", value: await operator(), url: hub.url, httpOnly: true, sameSite: "Strict" }]);
  const reading = await read("sessions/orders/events", await token("--sub", USER, "--subscribe", "**"));
  await page.getByTestId("page-connections").click();
  await page.getByTestId("filter-session").fill("orders");
  await expect.poll(() => page.getByTestId("connection").count()).toBe(1);
  await page.getByTestId("close").click();
  await page.getByTestId("close-yes").click();
  expect(await reading.text).toContain("DISCONNECTED");
  expect(await page.getByTestId("sign-in").count()).toBe(0);
});

test("all streams of a user are closed at once, and those of others are not", async () => {
  const bearer = await token("--sub", USER, "--subscribe", "**");
  const readings = [await read("sessions/a/events", bearer), await read("sessions/b/events", bearer)];
  await read("sessions/a/events", await token("--sub", "eve", "--subscribe", "**"));
  const it = await open("#/connections");
  await signIn(it);
  const rows = it.page.getByTestId("connection");
  await it.page.getByTestId("filter-kind").selectOption("session");
  await expect.poll(() => rows.count()).toBe(3);
  await it.page.getByTestId("filter-user").fill(USER);
  await expect.poll(() => rows.count()).toBe(2);
  expect(await rows.first().innerText()).toContain("ada <b>&‹U+202E›");
  await it.page.getByTestId("close-all").click();
  await it.page.getByTestId("close-all-yes").click();
  await it.page.getByText("2 streams of ada <b>&‹U+202E› were closed.").waitFor();
  for (const { text } of readings) expect(await text).toContain("DISCONNECTED");
  await it.page.getByTestId("filter-user").fill("");
  await expect.poll(() => rows.allInnerTexts()).toEqual([expect.stringContaining("eve")]);
});

test("a token is looked at and revoked, and the streams that it opened end", async () => {
  const bearer = await token("--sub", USER, "--jti", "one", "--subscribe", "sessions/orders-*");
  const reading = await read("sessions/orders-1/events", bearer);
  const it = await open("#/access");
  const { page } = it;
  await page.getByTestId("ask").click();
  await signIn(it);
  await page.getByTestId("check-token").fill(bearer);
  await page.getByTestId("check").click();
  await expect.poll(() => page.getByTestId("token-answer").innerText()).toContain("sessions/orders-*");
  await page.getByTestId("revoke-value").fill("one");
  await page.getByTestId("revoke").click();
  await page.getByTestId("revoke-yes").click();
  await page.getByText("Revoked. 1 streams were closed.").waitFor();
  expect(await reading.text).toContain("event: error");
  await page.getByTestId("check").click();
  await page.getByText("The hub refuses it (").waitFor();
  expect(await page.getByTestId("token-answer").getAttribute("data-valid")).toBe("false");
});
