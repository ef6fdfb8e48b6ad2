import { expect, test } from "vitest";
import type { Visit } from "./kit/browser.ts";
import { expectState, onStandIn } from "./kit/stage.ts";
import type { StandIn } from "./kit/stand-in.ts";

// The log panel, fed by something that speaks as a hub does. Each test has a page and a log of its own.

const PATH = "/deployments/a%20b/logs/stream";

let hub: StandIn;
let it: Visit;

onStandIn({ panel: "log", path: () => "?deployment=a%20b#logs" }, (stage) => ({ hub, it } = stage));

const line = (n: number, text = `line ${n}`, more: object = {}): void =>
  hub.send(PATH, "log", { line: n, stream: "stdout", at: 1_764_185_513 + n, text, ...more });
const lines = (from: number, to: number): void => {
  for (let n = from; n <= to; n++) line(n);
};
const state = (name: string): Promise<void> => expectState(it, "log", name);
/** The texts of the rows that are drawn. */
const drawn = (): Promise<string[]> =>
  it.page
    .locator(".log-row")
    .evaluateAll((rows) => rows.map((row) => row.querySelector(".log-text, .log-said")?.textContent ?? ""));
/** The rows that are seen, by where they are on the page. */
const seen = (): Promise<string[]> =>
  it.page.evaluate(() => {
    const box = document.querySelector(".log-list")?.getBoundingClientRect();
    const isSeen = (row: Element): boolean => {
      const { top, bottom } = row.getBoundingClientRect();
      return !!box && top >= box.top - 1 && bottom <= box.bottom + 1;
    };
    return [...document.querySelectorAll(".log-row")]
      .filter(isSeen)
      .map((row) => row.querySelector(".log-text, .log-said")?.textContent ?? "");
  });
const pressed = (name: string): Promise<string | null> => it.part(name).getAttribute("aria-pressed");
const current = (): Promise<string> => it.page.locator('.log-row[aria-selected="true"] .log-text').innerText();
const shows = (text: string): Promise<void> => expect.poll(async () => (await seen()).at(-1)).toBe(text);
/** How it is scrolled by somebody with a wheel. */
const wheel = async (by: number): Promise<void> => {
  await it.part("log-list").hover();
  await it.page.mouse.wheel(0, by);
};

test("follows, stops following when one scrolls up, and goes back", async () => {
  lines(1, 200);
  await shows("line 200");
  lines(201, 300);
  await shows("line 300");
  await wheel(-1_000);
  await expect.poll(() => pressed("log-follow")).toBe("false");
  await expect.poll(async () => Number(await it.page.locator("[data-testid=log-follow] .log-count").innerText())).toBe(50);
  const held = await seen();
  lines(301, 400);
  await expect.poll(() => it.part("log-follow").innerText()).toContain("150");
  expect(await seen()).toEqual(held);
  await it.click("log-follow");
  await shows("line 400");
  lines(401, 410);
  await shows("line 410");
  // Back to the end by hand is following, too.
  await wheel(-500);
  await expect.poll(() => pressed("log-follow")).toBe("false");
  await wheel(5_000);
  await expect.poll(() => pressed("log-follow")).toBe("true");
  lines(411, 420);
  await shows("line 420");
});

test("a pause holds what is shown, counts what comes, and shows it afterwards", async () => {
  lines(1, 5);
  await shows("line 5");
  await it.click("log-pause");
  lines(6, 25);
  await expect.poll(() => it.part("log-pause").innerText()).toMatch(/Resume\s+20/);
  expect(await seen()).toHaveLength(5);
  await it.click("log-pause");
  await shows("line 25");
  expect(await seen()).toHaveLength(25);
});

test("a line that has not ended is replaced in its place; cut, stderr and times are marked", async () => {
  line(1, "10 %", { partial: true });
  line(2, "oops", { stream: "stderr", cut: 300_000 });
  await expect.poll(drawn).toEqual(["10 %", "oops"]);
  expect(await it.page.locator(".log-row").first().innerText()).toContain("not ended yet");
  line(1, "100 %");
  await expect.poll(drawn).toEqual(["100 %", "oops"]);
  const [first, second] = await it.page.locator(".log-row").allInnerTexts();
  expect(first).not.toContain("not ended yet");
  expect(second).toMatch(/2\s+err\s+oops\s+cut: it had 300,000 bytes/);
  expect(second).not.toMatch(/\d\d:\d\d:\d\d/);
  await it.click("log-times");
  expect(await it.page.locator(".log-row").nth(1).innerText()).toMatch(/\d\d:\d\d:\d\d\.000/);
});

test("hostile text is text", async () => {
  let dialogs = 0;
  it.page.on("dialog", (dialog) => {
    dialogs++;
    void dialog.dismiss();
  });
  const texts = [
    `<img src=x onerror="alert(1)"><script>alert(2)</script>`,
    "\x1b]0;title\x07\x1b[2J\x1b[8mhidden\x1b[0m \x00\r\n\x9b31m",
    `\x1b[38;2;1;2;3;4:url(javascript:alert(3))mred`,
    "\u202eturned\u2066",
    `${"\u0335\u0489".repeat(500)}z`,
    `{"__proto__":{"x":1}}`,
  ];
  texts.forEach((text, index) => line(index + 1, text));
  hub.send(PATH, "log", texts[0]);
  hub.send(PATH, "log", { constructor: { text: 1 }, message: "<b>bold</b>" });
  await expect.poll(async () => (await drawn()).length).toBe(8);
  const shown = await drawn();
  expect(shown[0]).toBe(texts[0]);
  expect(shown[1]).toBe("␛]0;title␇␛[2Jhidden ␀␍␊‹U+009B›31m");
  expect(shown[2]).toBe("␛[38;2;1;2;3;4:url(javascript:alert(3))mred");
  expect(shown[3]).toBe("‹U+202E›turned‹U+2066›");
  expect(shown.slice(5)).toEqual([texts[5], texts[0], "<b>bold</b>"]);
  expect(await it.page.locator(".log-list img, .log-list script, .log-list b").count()).toBe(0);
  // Every row has the same height, whatever is piled on its letters.
  expect(
    await it.page.locator(".log-row").evaluateAll((rows) => new Set(rows.map((row) => row.getBoundingClientRect().height)).size),
  ).toBe(1);
  expect([dialogs, await it.page.title()]).toEqual([0, "Agent network"]);
});

test("colours are those of the line, and can be read in both themes", async () => {
  line(1, "\x1b[1;4;38;5;196mloud\x1b[0m \x1b[48;2;0;0;95;97mon blue\x1b[0m \x1b[30mblack\x1b[0m \x1b[97mwhite");
  const style = (text: string, name: "color" | "backgroundColor" | "fontWeight" | "textDecorationLine"): Promise<string> =>
    it.page.locator(".log-text span", { hasText: text }).evaluate((element, name) => getComputedStyle(element)[name], name);
  await expect.poll(() => style("loud", "fontWeight")).toBe("700");
  expect(await style("loud", "textDecorationLine")).toBe("underline");
  expect([await style("on blue", "color"), await style("on blue", "backgroundColor")]).toEqual([
    "rgb(255, 255, 255)",
    "rgb(0, 0, 95)",
  ]);
  /** Its lightness: of `oklch(L C H)`. */
  const lightness = async (text: string): Promise<number> => Number(/^oklch\(([\d.]+)/.exec(await style(text, "color"))?.[1]);
  expect(await lightness("white")).toBeLessThan(0.6);
  await it.page.emulateMedia({ colorScheme: "dark" });
  expect(await lightness("black")).toBeGreaterThan(0.6);
});

test("searches, goes from one to the next and back, and marks them", async () => {
  for (let n = 1; n <= 500; n++) line(n, n % 100 ? `line ${n}` : `\x1b[31mER\x1b[0mROR ${n}`);
  await shows("ERROR 500");
  await it.part("log-list").focus();
  await it.page.keyboard.press("/");
  await it.page.keyboard.type("error");
  await expect.poll(() => it.part("log-found").innerText()).toBe("– of 5");
  await it.page.keyboard.press("Enter");
  await expect.poll(() => it.part("log-found").innerText()).toBe("1 of 5");
  await expect.poll(() => current()).toBe("ERROR 100");
  expect(await seen()).toContain("ERROR 100");
  await expect.poll(() => it.page.locator('.log-row[aria-selected="true"] mark').allInnerTexts()).toEqual(["ER", "ROR"]);
  await it.page.keyboard.press("Shift+Enter");
  await expect.poll(() => current()).toBe("ERROR 500");
  await it.click("log-next");
  await expect.poll(() => current()).toBe("ERROR 100");
  await it.part("log-list").focus();
  await it.page.keyboard.press("n");
  await expect.poll(() => current()).toBe("ERROR 200");
  line(501, "another Error");
  await expect.poll(() => it.part("log-found").innerText()).toBe("2 of 6");
  await it.part("log-search").fill("[");
  await expect.poll(() => it.part("log-found").innerText()).toBe("not found");
  await it.part("log-search").press("Escape");
  await expect.poll(() => it.part("log-search").inputValue()).toBe("");
  await expect.poll(() => it.page.locator("mark").count()).toBe(0);
});

test("can be read with the keyboard, line by line", async () => {
  lines(1, 100);
  await shows("line 100");
  const list = it.page.getByRole("listbox", { name: "Lines of a b" });
  await list.focus();
  await it.page.keyboard.press("k");
  await expect.poll(() => current()).toBe("line 100");
  await it.page.keyboard.press("k");
  await expect.poll(() => current()).toBe("line 99");
  await it.page.keyboard.press("g");
  await expect.poll(() => current()).toBe("line 1");
  await it.page.keyboard.press("j");
  await it.page.keyboard.press("ArrowDown");
  await expect.poll(() => current()).toBe("line 3");
  const active = await list.getAttribute("aria-activedescendant");
  expect(await it.page.locator(`[id="${active}"] .log-text`).innerText()).toBe("line 3");
  await it.page.keyboard.press("Enter");
  await expect.poll(() => it.part("log-whole").innerText()).toBe("line 3");
  await it.page.keyboard.press("p");
  await expect.poll(() => pressed("log-pause")).toBe("true");
  await it.page.keyboard.press("p");
  await it.page.keyboard.press("f");
  await shows("line 100");
  for (const name of ["Follow", "Pause", "Next gap", "Times"])
    expect(await it.page.getByRole("button", { name }).count()).toBe(1);
  expect(await it.page.getByRole("searchbox", { name: "Search the log" }).count()).toBe(1);
});

test("jumps to the next gap, and round", async () => {
  const gap = (missed: number): void => hub.send(PATH, "gap", { from: null, to: null, missed, reason: "lagged" });
  lines(1, 100);
  gap(7);
  lines(101, 200);
  gap(8);
  lines(201, 300);
  await shows("line 300");
  const said = (): Promise<string> => it.page.locator('.log-row[aria-selected="true"] .log-said').innerText();
  await it.click("log-gap");
  await expect.poll(said).toMatch(/^7 lines are missing/);
  expect((await seen()).join("\n")).toContain("7 lines are missing");
  await it.click("log-gap");
  await expect.poll(said).toMatch(/^8 lines/);
  await it.click("log-gap");
  await expect.poll(said).toMatch(/^7 lines/);
});

test("goes on where it was, and lines that are sent again after a new epoch are shown once", async () => {
  lines(1, 10);
  await shows("line 10");
  hub.drop({ refuse: true });
  await state("reconnecting");
  lines(11, 12);
  hub.accept();
  await shows("line 12");
  expect(hub.asked.at(-1)).toMatchObject({ after: "epoch0000001-10" });
  expect((await drawn()).length).toBe(12);

  hub.restart();
  lines(1, 14);
  await shows("line 14");
  const rows = await drawn();
  expect(rows.length).toBe(15);
  expect(rows[12]).toMatch(/none is missing/);
  expect(await it.part("log-counts").innerText()).toBe("14 lines, 12 sent again, shown once");
});

test("says that the source is away, and that it is back", async () => {
  const said = (): Promise<string[]> => it.part("log-source").allInnerTexts();
  hub.comment(PATH, "waiting for source");
  await expect.poll(said).toEqual(["waiting for source"]);
  hub.comment(PATH, "source is back");
  await expect.poll(said).toEqual([]);
  // With the first bytes of a stream; a heartbeat says nothing of it, a line says that it is there.
  hub.greet("waiting for source");
  hub.drop();
  await expect.poll(() => hub.asked.length).toBeGreaterThan(1);
  await expect.poll(said).toEqual(["waiting for source"]);
  await state("open");
  hub.comment(PATH, "");
  hub.comment(PATH, "waiting for source: still");
  await expect.poll(said).toEqual(["waiting for source: still"]);
  line(1);
  await expect.poll(said).toEqual([]);
});

test("shows the end, with exit code and time, and keeps it over a reconnect", async () => {
  lines(1, 2);
  hub.send(PATH, "end", { exitCode: 101, endedAt: 1_764_185_513 });
  await expect.poll(() => it.part("log-end").innerText()).toMatch(/Ended with exit code 101, .*2025/);
  await shows(await it.part("log-end").innerText());
  hub.drop();
  await expect.poll(() => hub.asked.length).toBeGreaterThan(1);
  await state("open");
  expect(await drawn()).toHaveLength(3);
});

test("a hidden view gives its connection back, and gets what it missed", async () => {
  lines(1, 3);
  await shows("line 3");
  await it.click("view-metrics");
  await expect.poll(() => hub.asked.at(-1)?.url).toBe("/services/metrics/stream");
  await expect.poll(hub.streams).toBe(1);
  lines(4, 6);
  await it.click("view-logs");
  await shows("line 6");
  expect(await drawn()).toHaveLength(6);
});

test("another deployment is another log, and the first one begins at its first line again", async () => {
  lines(1, 3);
  await shows("line 3");
  hub.send("/deployments/other/logs/stream", "log", "of the other");
  await it.part("deployment").fill("other");
  await it.click("watch");
  await expect.poll(drawn).toEqual(["of the other"]);
  await it.part("deployment").fill("a b");
  await it.click("watch");
  await expect.poll(drawn).toEqual(["line 1", "line 2", "line 3"]);
  await expect.poll(hub.streams).toBe(1);
});

test("fits a phone", async () => {
  line(1, "x".repeat(5_000), { stream: "stderr" });
  hub.send(PATH, "end", { exitCode: null, endedAt: 1_764_185_513 });
  await it.page.setViewportSize({ width: 360, height: 740 });
  await expect.poll(() => it.part("log-end").count()).toBe(1);
  expect(await it.page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  expect(await it.page.locator(".log-row").first().innerText()).toContain("3,000 more characters");
});

test("moves nothing but the lines", async () => {
  await it.click("log-times");
  lines(1, 150);
  await shows("line 150");
  await it.click("log-pause");
  lines(151, 300);
  await expect.poll(() => it.part("log-pause").innerText()).toContain("150");
  await it.click("log-pause");
  hub.send(PATH, "gap", { from: null, to: null, missed: 1, reason: "lagged" });
  await expect.poll(() => it.part("log-gap").innerText()).toContain("1");
  expect((await it.moved()).filter((element) => !element.includes("log-row"))).toEqual([]);
});
