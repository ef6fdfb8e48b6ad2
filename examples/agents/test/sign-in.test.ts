import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import type { Watch } from "../src/api.ts";
import { expectNothingLeft } from "./kit/app.ts";
import { open, openIn, PASSWORDS } from "./kit/browser.ts";
import { onStage, type Stage } from "./kit/stage.ts";

let app: Stage["app"];
let browser: Stage["browser"];
onStage({}, (stage) => ({ app, browser } = stage));

test("nobody sees anything without signing in, and signing out ends what was open", async () => {
  for (const path of ["me", "runs", "runs/watch", "runs/x/watch"]) {
    expect([path, (await fetch(`${app.page}/api/${path}`)).status]).toEqual([path, 401]);
  }
  const tab = await open(browser, app.page, "ada");
  await tab.start("Leave me", 120);
  await tab.hasText(20);
  await tab.part("sign-out").click();
  await tab.part("sign-in").waitFor();
  await expectNothingLeft(app);
  await tab.page.reload();
  await tab.part("sign-in").waitFor();
  await tab.part("user").fill("ada");
  await tab.part("password").fill("guess");
  await tab.part("sign-in").click();
  await expect.poll(() => tab.part("sign-in-trouble").textContent()).toBe("There is no such user with this password.");
});

test("signing out in one tab ends the streams of the other, and what a token could still open, and no other sign-in", async () => {
  const it = await open(browser, app.page, "ada");
  const id = await it.start("Leave me twice", 600);
  const other = await openIn(it.page.context(), it.page.url(), "ada");
  const elsewhere = await open(browser, it.page.url(), "ada");
  for (const tab of [other, elsewhere]) await expect.poll(() => tab.state("run")).toBe("open");
  const { url, token } = await other.page.evaluate(async (of): Promise<Watch<unknown>> => (await fetch(`/api/runs/${of}/watch`)).json(), id);
  const opens = async (): Promise<number> =>
    (await fetch(`${url}?wait=0`, { headers: { authorization: `Bearer ${token}`, accept: "application/json" } })).status;
  expect(await opens()).toBe(200);
  await it.part("sign-out").click();
  await other.part("sign-in").waitFor();
  await expect.poll(opens).toBe(401);
  expect(await elsewhere.state("run")).toBe("open");
  const n = Number(await elsewhere.run("n"));
  await expect.poll(async () => Number(await elsewhere.run("n"))).toBeGreaterThan(n + 10);
  for (const tab of [it, other, elsewhere]) expect(tab.errors).toEqual([]);
});

test("a tab whose user has signed out elsewhere shows who has signed in since then", async () => {
  const tab = await open(browser, app.page, "ada");
  await expect.poll(() => tab.state("list")).toBe("open");
  const [old] = await tab.page.context().cookies();
  const body = JSON.stringify({ user: "grace", password: PASSWORDS.grace });
  const headers = { "content-type": "application/json" };
  // As another tab would do it, but that the old sign-in ends after the new one began.
  await tab.page.evaluate((init) => fetch("/api/sign-in", init), { method: "POST", body, headers });
  await fetch(`${app.service}/api/sign-out`, { method: "POST", headers: { cookie: `${old?.name}=${old?.value}` } });
  await expect.poll(() => tab.part("who").textContent()).toBe("grace");
  await expect.poll(() => tab.state("list")).toBe("open");
  expect(tab.errors).toEqual([]);
});

test("a sign-out that does not work says so, and may be tried again", async () => {
  const tab = await open(browser, app.page, "ada");
  await tab.page.route("**/api/sign-out", (route) => route.abort());
  await tab.part("sign-out").click();
  await expect.poll(() => tab.part("sign-out-trouble").textContent()).toBe("You are still signed in. The service does not answer.");
  await tab.page.unroute("**/api/sign-out");
  await tab.part("sign-out").click();
  await tab.part("sign-in").waitFor();
});

test("a page of another port of this host can sign nobody out, and start nothing", async () => {
  const tab = await open(browser, app.page, "ada");
  const other = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<p>another application</p>"));
  await once(other.listen(0, "127.0.0.1"), "listening");
  const origin = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  try {
    const neighbour = await tab.page.context().newPage();
    await neighbour.goto(origin);
    const [answer] = await Promise.all([
      neighbour.waitForResponse((response) => response.url().endsWith("/api/sign-out")),
      // The cookie goes with it: it is the same site.
      neighbour.evaluate((page) => fetch(`${page}/api/sign-out`, { method: "POST", mode: "no-cors", credentials: "include" }), app.page),
    ]);
    expect(answer.status()).toBe(403);
  } finally {
    other.close();
    other.closeAllConnections();
  }
  // A browser that does not say how near the other page is says at least which it is.
  const [cookie] = await tab.page.context().cookies();
  const headers = { cookie: `${cookie?.name}=${cookie?.value}`, origin, "content-type": "application/json" };
  const start = await fetch(`${app.service}/api/runs`, { method: "POST", headers, body: JSON.stringify({ task: "Forged" }) });
  expect([start.status, ((await start.json()) as { code: string }).code]).toEqual([403, "OTHER_ORIGIN"]);
  await tab.page.reload();
  await expect.poll(() => tab.part("who").textContent()).toBe("ada");
});
