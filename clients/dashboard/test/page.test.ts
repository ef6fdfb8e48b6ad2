import axe from "axe-core";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { launch, visit, type Visit } from "./kit/browser.ts";
import { sampleOf } from "./kit/figures.ts";
import { busyHub, HOSTILE, PAGES } from "./kit/hub.ts";
import { startStub, type Stub } from "./kit/stub.ts";

let browser: Browser;
let hub: Stub;
let visits: Visit[];

beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  hub = await startStub(busyHub(HOSTILE));
  visits = [];
});
afterEach(async () => {
  for (const { context } of visits) await context.close();
  // Closed, nothing of it is left.
  await expect.poll(() => hub.streams()).toEqual([]);
  await hub.stop();
  for (const { errors } of visits) expect(errors).toEqual([]);
});

async function open(hash = "", look = {}): Promise<Visit> {
  const it = await visit(browser, hub.url + hash, look);
  visits.push(it);
  return it;
}

const asked = (method: string, path: RegExp): string[] => hub.asks.filter((ask) => ask.method === method && path.test(ask.path)).map(({ path }) => path);

describe.each([
  ["light", { dark: false, phone: false }],
  ["dark", { dark: true, phone: false }],
  ["light, on a phone", { dark: false, phone: true }],
  ["dark, on a phone", { dark: true, phone: true }],
])("%s", (_, look) => {
  test("no page has anything serious for those who see or point little, and each fits its width", async () => {
    const { page } = await open("", look);
    for (const [name, hash, ready] of PAGES) {
      await page.evaluate((to) => void (location.hash = to), hash);
      await page.getByTestId(ready).first().waitFor();
      await page.getByTestId("snippets").evaluateAll((all) => all.forEach((details) => details.setAttribute("open", "")));
      await page.evaluate(axe.source);
      const found = await page.evaluate(async () => (await (globalThis as unknown as { axe: typeof axe }).axe.run()).violations);
      const serious = found.filter(({ impact }) => impact === "serious" || impact === "critical");
      expect(serious.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), name).toEqual([]);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(wider, name).toBe(0);
    }
  });
});

describe("the overview", () => {
  test("shows the figures of the hub, ten minutes of them, and goes on live", async () => {
    const { page } = await open();
    const figure = (name: string): Promise<string | null> => page.getByTestId(`figure-${name}`).textContent();
    await expect.poll(() => figure("subscribers")).toBe("10,000");
    expect(await page.getByTestId("memory").textContent()).toBe("120 MiB of 500 MiB; warning at 400 MiB");
    expect(await page.getByTestId("rung").textContent()).toContain("normal");
    expect(await page.getByTestId("ledger-mark").textContent()).toBe("✓ adds up");
    expect(asked("GET", /^stats/)).toEqual(["stats/stream?replay=600"]);
    // 540 moments, and the hole for the minute that is missing.
    await expect.poll(() => page.getByTestId("plot-events").getAttribute("data-points")).toBe("541");
    expect(await page.getByTestId("plot-memory").getAttribute("data-holes")).toBe("1");
    const at = Date.now() + 1_000;
    hub.send("stats", "stats", sampleOf({ at, uptime: 20_000, published: 5_000_000 }));
    hub.send("stats", "stats", sampleOf({ at: at + 1_000, uptime: 20_001, published: 5_000_700, delivered: 9_000 }));
    await expect.poll(() => figure("in")).toBe("700/s");
    expect(await figure("out")).toBe("9,000/s");
  });

  test("marks a ledger that does not add up, and a hub that was started again", async () => {
    const { page } = await open();
    await page.getByTestId("figure-in").waitFor();
    hub.send("stats", "stats", sampleOf({ at: Date.now() + 5_000, pid: 8, uptime: 1, wrong: true }));
    await expect.poll(() => page.getByTestId("ledger-mark").textContent()).toBe("✗ does not add up: subscription");
    expect(await page.getByTestId("figure-in").textContent()).toBe("–");
    expect(await page.getByText("started again once").count()).toBe(1);
  });

  test("draws nothing while nobody looks, and what it missed as soon as somebody does", async () => {
    const { page } = await open();
    await page.getByTestId("plot-trouble").waitFor();
    await page.evaluate(() => {
      const counted = globalThis as unknown as { drawn: number };
      counted.drawn = 0;
      const { clearRect } = CanvasRenderingContext2D.prototype;
      CanvasRenderingContext2D.prototype.clearRect = function (...args) {
        counted.drawn++;
        clearRect.apply(this, args);
      };
    });
    const drawn = (): Promise<number> => page.evaluate(() => (globalThis as unknown as { drawn: number }).drawn);
    const see = (isSeen: boolean): Promise<void> =>
      page.evaluate((isSeen) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => !isSeen });
        document.dispatchEvent(new Event("visibilitychange"));
      }, isSeen);
    await see(false);
    // What was due before is drawn by then.
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    const before = await drawn();
    const at = Date.now() + 1_000;
    hub.send("stats", "stats", sampleOf({ at, uptime: 20_000, wrong: true }));
    // It has come, and the mark is text; the plots have not been drawn for it.
    await expect.poll(() => page.getByTestId("ledger-mark").textContent()).toContain("✗");
    expect(await drawn()).toBe(before);
    await see(true);
    await expect.poll(drawn).toBeGreaterThan(before);
  });

  test("reads single moments of a plot by the keyboard", async () => {
    const { page } = await open();
    const plot = page.getByTestId("plot-events");
    await plot.waitFor();
    await plot.getByRole("img").focus();
    const read = plot.locator("[aria-live]");
    await page.keyboard.press("ArrowLeft");
    await expect.poll(() => read.textContent()).toMatch(/^\d\d:\d\d:\d\d$/);
    const last = await read.textContent();
    await page.keyboard.press("ArrowLeft");
    await expect.poll(() => read.textContent()).not.toBe(last);
  });
});

test("each page gives its stream back when another one is shown", async () => {
  const { page } = await open();
  await expect.poll(() => hub.streams()).toEqual(["stats/stream?replay=600"]);
  await page.getByTestId("page-services").click();
  await expect.poll(() => hub.streams()).toEqual([expect.stringMatching(/^services\/metrics\/stream/)]);
  await page.evaluate(() => void (location.hash = "#/sessions/orders%2F4"));
  await expect.poll(() => hub.streams()).toEqual(["sessions/orders%2F4/events?replay=100"]);
  await page.getByTestId("page-access").click();
  await expect.poll(() => hub.streams()).toEqual([]);
});

test("what publishers and readers call themselves is text on every page", async () => {
  const { page } = await open();
  for (const [, hash, ready] of [...PAGES, ["hostile", `#/sessions/${encodeURIComponent(HOSTILE)}`, "event"] as const]) {
    await page.evaluate((to) => void (location.hash = to), hash);
    await page.getByTestId(ready).first().waitFor();
    await page.getByTestId("event").locator("summary").evaluateAll((all) => all.forEach((summary) => (summary as HTMLElement).click()));
    expect(await page.locator("img").count(), hash).toBe(0);
    expect(await page.locator("body").innerText(), hash).not.toMatch(/[\u202e\u0007]/);
  }
  expect(await page.evaluate(() => "pwned" in globalThis)).toBe(false);
  expect(await page.getByText("<img src=x").count()).toBeGreaterThan(2);
});

describe("lists", () => {
  test("of sessions are searched, sorted and read page by page, by the hub", async () => {
    const { page } = await open("#/sessions");
    await expect.poll(() => page.getByTestId("session").count()).toBe(100);
    expect(await page.getByTestId("matched").textContent()).toBe("page 1, 2,000 found of 2,000");
    await page.getByTestId("next").click();
    await expect.poll(() => page.getByTestId("session").first().textContent()).toContain("orders/100");
    await page.getByTestId("sort-name").click();
    // Another order begins at its first page.
    await expect.poll(() => page.getByTestId("matched").textContent()).toContain("page 1,");
    // It has been asked for, too, before the words make another question of it.
    await expect.poll(() => asked("GET", /sort=name/)).toContain("sessions?sort=name&order=asc&limit=100");
    await page.getByTestId("contains").fill("a&b");
    await expect.poll(() => asked("GET", /contains/)[0]).toBe("sessions?contains=a%26b&sort=name&order=asc&limit=100");
    expect(new Set(asked("GET", /^sessions\?(?!contains)/))).toEqual(
      new Set([
        "sessions?sort=activity&order=desc&limit=100",
        "sessions?sort=activity&order=desc&limit=100&cursor=1",
        "sessions?sort=name&order=asc&limit=100",
      ]),
    );
  });

  test("of connections are filtered by the hub, and one of them or all of a user are closed", async () => {
    const { page } = await open("#/connections");
    await page.getByTestId("connection").first().waitFor();
    await page.getByTestId("filter-user").fill("ada & co");
    await page.getByTestId("filter-min_lag").fill("10");
    await page.getByTestId("filter-kind").selectOption("session");
    await expect
      .poll(() => asked("GET", /user=/).at(-1))
      .toBe("connections?user=ada+%26+co&min_lag=10&kind=session&sort=lag&order=desc&limit=100");
    await page.getByTestId("close").first().click();
    expect(asked("DELETE", /./)).toEqual([]);
    await page.getByTestId("close-yes").click();
    await expect.poll(() => asked("DELETE", /./)).toEqual(["connections/0"]);
    await page.getByTestId("close-all").click();
    await page.getByTestId("close-all-yes").click();
    await expect.poll(() => asked("DELETE", /\?/)).toEqual(["connections?user=ada+%26+co"]);
    await page.getByText("12 streams of ada & co were closed.").waitFor();
  });

  test("begin at their first page when the hub knows the cursor no more", async () => {
    const { page } = await open("#/sessions");
    hub.answer(({ path }) => (path.includes("cursor=2") ? { status: 409, json: { code: "STALE_CURSOR", detail: "the cursor is stale" } } : undefined));
    await page.getByTestId("next").click();
    await expect.poll(() => page.getByTestId("session").first().textContent()).toContain("orders/100");
    await page.getByTestId("next").click();
    await expect.poll(() => page.getByTestId("matched").textContent()).toContain("page 1,");
    await expect.poll(() => asked("GET", /cursor=2/).length).toBe(1);
    await expect.poll(() => page.getByTestId("session").nth(2).textContent()).toContain("orders/2");
    await expect.poll(() => page.getByTestId("notice").count()).toBe(0);
  });

  test("say so when the hub cannot answer, and are right again when it can", async () => {
    const { page } = await open("#/sources");
    await expect.poll(() => page.getByTestId("source").count()).toBe(2);
    let isBusy = true;
    hub.answer(() => (isBusy ? { status: 503, json: { code: "OVERLOADED", detail: "too many requests" } } : undefined));
    await expect.poll(() => page.getByTestId("notice").textContent()).toContain("busy (too many requests)");
    isBusy = false;
    await expect.poll(() => page.getByTestId("notice").count()).toBe(0);
  });
});

describe("a hub that does not answer", () => {
  let isSilent: boolean;
  beforeEach(() => {
    isSilent = true;
    hub.answer(({ path }) => (isSilent && /^(sources|sessions\/[^/]*$)/.test(path) ? "silence" : undefined));
  });

  test("is told from one that has nothing to say, and asked again", async () => {
    const { page } = await open("#/access");
    await page.clock.install();
    await page.getByTestId("page-sources").click();
    await page.getByText("The hub is asked").waitFor();
    await expect.poll(() => hub.waiting().length).toBe(1);
    await page.clock.runFor(15_000);
    await expect.poll(() => page.getByTestId("notice").textContent()).toBe("The hub did not answer (no answer within 15 s). It is asked again by itself.");
    await expect.poll(() => hub.waiting()).toEqual([]);
    isSilent = false;
    await page.clock.runFor(3_000);
    await expect.poll(() => page.getByTestId("source").count()).toBe(2);
    expect(await page.getByTestId("notice").count()).toBe(0);
  });

  test("is asked no more by a page that is left", async () => {
    const { page } = await open("#/sources");
    await expect.poll(() => hub.waiting().length).toBe(1);
    await page.getByTestId("page-access").click();
    await expect.poll(() => hub.waiting()).toEqual([]);
  });

  test("leaves a button not as if it had done what it was pressed for", async () => {
    const { page } = await open("#/access");
    hub.answer(({ path }) => (path === "tokens/revoke" ? "silence" : undefined));
    await page.clock.install();
    await page.getByTestId("revoke-value").fill("t-1");
    await page.getByTestId("revoke").click();
    await page.getByTestId("revoke-yes").click();
    await expect.poll(() => hub.waiting()).toEqual(["tokens/revoke"]);
    await page.clock.runFor(15_000);
    await page.getByText("The hub did not answer (no answer within 15 s). Whether it was done is not known.").waitFor();
    expect(await page.getByTestId("revoke").isEnabled()).toBe(true);
  });
});

describe("one session", () => {
  test("is deleted only by who says so twice", async () => {
    const { page } = await open("#/sessions/orders%2F4");
    await page.getByTestId("delete").click();
    await page.getByTestId("delete-yes").click();
    await page.getByText("Really?").waitFor();
    await page.keyboard.press("Escape");
    await page.getByTestId("delete").click();
    await page.getByTestId("delete-yes").click();
    expect(asked("DELETE", /./)).toEqual([]);
    await page.getByText("Really?").waitFor();
    await page.getByTestId("delete-yes").click();
    await expect.poll(() => asked("DELETE", /./)).toEqual(["sessions/orders%2F4"]);
  });

  test("has snippets with the address one came by", async () => {
    const { page } = await open("#/sessions/it's");
    await page.getByTestId("snippets").locator("summary").click();
    expect(await page.getByTestId("snippet-curl").textContent()).toBe(`curl -N '${hub.url}sessions/it'\\''s/events'`);
    expect(await page.getByTestId("snippet-React").textContent()).toContain(`baseUrl: "${hub.url.slice(0, -1)}"`);
  });
});

describe("a hub with a key", () => {
  /** Takes one token. */
  const lock = (): void =>
    hub.answer(({ authorization }) => (authorization === "Bearer good" ? undefined : { status: 401, json: { code: "INVALID_TOKEN", detail: "the token is not valid" } }));
  const signIn = async ({ page }: Visit, token: string, keep: boolean): Promise<void> => {
    await page.getByTestId("token").fill(token);
    if (keep) await page.getByRole("checkbox").check();
    await page.keyboard.press("Enter");
  };

  test("is asked without a token first, and with the one that is given from then on", async () => {
    lock();
    const it = await open();
    await it.page.getByTestId("sign-in").waitFor();
    await signIn(it, "good", false);
    await expect.poll(() => it.page.getByTestId("figure-subscribers").textContent()).toBe("10,000");
    await it.page.getByTestId("page-sessions").click();
    await expect.poll(() => it.page.getByTestId("session").count()).toBe(100);
    expect(await it.page.getByTestId("sign-in").count()).toBe(0);
  });

  test("asks again after a wrong one", async () => {
    lock();
    const it = await open("#/sources");
    await it.page.getByTestId("sign-in").waitFor();
    await signIn(it, "bad", false);
    await expect.poll(() => hub.asks.filter(({ authorization }) => authorization === "Bearer bad").length).toBe(1);
    await it.page.getByTestId("sign-in").waitFor();
    await signIn(it, "good", false);
    await it.page.getByTestId("source").first().waitFor();
  });

  test("is forgotten with the page, unless one chose to keep it in this tab", async () => {
    lock();
    const it = await open("#/sources");
    for (const keep of [false, true]) {
      await it.page.getByTestId("sign-in").waitFor();
      await signIn(it, "good", keep);
      await it.page.getByTestId("source").first().waitFor();
      expect(await it.page.evaluate(() => [sessionStorage.length, localStorage.length, document.cookie])).toEqual([keep ? 1 : 0, 0, ""]);
      await it.page.reload();
    }
    await it.page.getByTestId("source").first().waitFor();
    await it.page.getByRole("button", { name: "Sign out" }).click();
    await it.page.getByTestId("sign-in").waitFor();
    expect(await it.page.evaluate(() => sessionStorage.length)).toBe(0);
  });
});

test("where operators are served elsewhere, the page says so and shows what it can", async () => {
  hub.answer(({ path }) =>
    /^(stats|sessions\?|sessions\/[^/]*$|connections|sources|tokens)/.test(path) ? { status: 404, json: { code: "NOT_FOUND", detail: "there is nothing here" } } : undefined,
  );
  const { page } = await open();
  for (const hash of ["", "#/sessions", "#/connections", "#/sources"]) {
    await page.evaluate((to) => void (location.hash = to), hash);
    await page.getByText("With admin_listen, a hub answers its operators at that address only").first().waitFor();
  }
  await page.evaluate(() => void (location.hash = "#/sessions/orders%2F4"));
  await expect.poll(() => page.getByTestId("event").count()).toBe(3);
});

test("a token is looked at and revoked by the hub, and stands in no address", async () => {
  const { page } = await open("#/access");
  await page.getByTestId("check-token").fill(" a.b.c ");
  await page.getByTestId("check").click();
  await page.getByTestId("token-answer").waitFor();
  expect(await page.getByTestId("token-answer").innerText()).toContain("orders/*");
  await page.getByTestId("revoke-value").fill("t-1");
  await page.getByTestId("revoke").click();
  await page.getByTestId("revoke-yes").click();
  await page.getByText("Revoked. 2 streams were closed.").waitFor();
  const posted = hub.asks.filter(({ method }) => method === "POST").map(({ path, body }) => [path, JSON.parse(body)]);
  expect(posted).toEqual([
    ["tokens/check", { token: "a.b.c" }],
    ["tokens/revoke", { jti: "t-1" }],
  ]);
  expect(hub.asks.map(({ path }) => path).join(" ")).not.toContain("a.b.c");
});

test("a page that does not exist is the overview, and a session that cannot exist is none", async () => {
  const { page } = await open("#/nothing/at/all");
  await page.getByTestId("figure-in").waitFor();
  // No address can carry this name: whatever resolves it takes the dots out.
  await page.evaluate(() => void (location.hash = "#/sessions/.."));
  await page.getByText("No session is called that").waitFor();
  await page.getByTestId("page-sources").click();
  await page.getByTestId("source").first().waitFor();
});
