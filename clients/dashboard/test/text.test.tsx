import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";
import { addEvent, CHARACTERS_MAX, EVENT_CHARACTERS_MAX, EVENTS_MAX, NO_FEED, unfold, type Feed } from "../src/model/feed.ts";
import { listPath, nextSorting } from "../src/model/listing.ts";
import { deploymentOf, hashOf, routeOf } from "../src/model/route.ts";
import { manyLines, oneLine } from "../src/model/text.ts";
import { dataOf, wholeNumber } from "../src/model/typed.ts";
import { sayBytes, sayCount, sayMs, sayRate, saySeconds } from "../src/model/words.ts";
import { Events } from "../src/parts/Events.tsx";
import { Name } from "../src/parts/Text.tsx";

const UNSEEN = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/;

test("a hostile name is text, and all of it is seen", () => {
  const hostile = "<img src=x onerror=alert(1)>\u202egnp\u2066\u0000\n\u200b\ufeff&amp;\ud800";
  const markup = renderToStaticMarkup(createElement(Name, { of: hostile }));
  expect(markup).toBe(
    `<bdi class="name">&lt;img src=x onerror=alert(1)&gt;‹U+202E›gnp‹U+2066›␀␊‹U+200B›‹U+FEFF›&amp;amp;\ufffd</bdi>`,
  );
});

test("every character that cannot be seen, or turns what follows, becomes a sign", () => {
  for (let code = 0; code <= 0xffff; code++) {
    const character = String.fromCharCode(code);
    if (UNSEEN.test(character)) expect(oneLine(character), code.toString(16)).not.toMatch(UNSEEN);
  }
  expect(oneLine("größe 日本 🙂\t.")).toBe("größe 日本 🙂\t.");
  expect(manyLines("a\nb\u0007")).toBe("a\nb␇");
});

test("a name without an end is cut", () => {
  const markup = renderToStaticMarkup(createElement(Name, { of: "a".repeat(100_000) }));
  expect(markup.length).toBeLessThan(1_500);
  expect(markup).toContain("…");
});

test("hostile types and data of events are text", () => {
  const event = { id: "e-1", type: "<b>x</b>\u202e", text: '<script>alert(1)</script>\u202e{"a":1}' };
  const markup = renderToStaticMarkup(createElement(Events, { rows: addEvent(NO_FEED, event).rows }));
  expect(markup).not.toMatch(/<script|<b>/);
  expect(markup).not.toMatch(UNSEEN);
});

const feedOf = (texts: readonly string[]): Feed =>
  texts.reduce<Feed>((feed, text, n) => addEvent(feed, { id: `e-${n + 1}`, type: "t", text }), NO_FEED);

test("a feed keeps the newest events, and counts all of them", () => {
  const feed = feedOf(Array.from({ length: EVENTS_MAX + 20 }, (_, n) => `${n}`));
  expect(feed.rows).toHaveLength(EVENTS_MAX);
  expect(feed.rows[0]?.id).toBe(`e-${EVENTS_MAX + 20}`);
  expect(feed.count).toBe(EVENTS_MAX + 20);
});

test("a feed of large events is bounded by what they take", () => {
  const feed = feedOf(Array.from({ length: 200 }, () => "ä".repeat(EVENT_CHARACTERS_MAX * 2)));
  const held = feed.rows.reduce((all, { text }) => all + text.length, 0);
  expect(held).toBe(feed.held);
  expect(held).toBeLessThanOrEqual(CHARACTERS_MAX);
  expect(feed.rows[0]).toMatchObject({ more: EVENT_CHARACTERS_MAX, bytes: EVENT_CHARACTERS_MAX * 4 });
  expect(feed.bytes).toBe(200 * EVENT_CHARACTERS_MAX * 4);
});

test("JSON is unfolded, and what is none or was cut stays as it came", () => {
  const row = addEvent(NO_FEED, { id: "1", type: "t", text: '{"a":[1]}' }).rows[0];
  expect(row && unfold(row)).toBe('{\n  "a": [\n    1\n  ]\n}');
  expect(row && unfold({ ...row, text: "{no", more: 0 })).toBe("{no");
  expect(row && unfold({ ...row, more: 5 })).toBe('{"a":[1]}');
});

test("a gap is told from an event", () => {
  expect(addEvent(NO_FEED, { id: "1", type: "gap", text: "{}" }).rows[0]?.isGap).toBe(true);
});

test("a list is asked for what was typed, and for nothing that was not", () => {
  expect(listPath("sessions", { contains: "  a&b=c#/ü ", sort: "name", user: " " }, null)).toBe(
    "sessions?contains=a%26b%3Dc%23%2F%C3%BC&sort=name&limit=100",
  );
  expect(listPath("connections", {}, "x.1+")).toBe("connections?limit=100&cursor=x.1%2B");
});

test("a column is sorted the way one looks for, and then the other", () => {
  const byName = nextSorting({ by: "lag", order: "desc" }, "name");
  expect(byName).toEqual({ by: "name", order: "asc" });
  expect(nextSorting(byName, "name")).toEqual({ by: "name", order: "desc" });
  expect(nextSorting(byName, "events")).toEqual({ by: "events", order: "desc" });
});

test("only a whole number is one", () => {
  expect(["12", " 7 ", "", "-1", "1.5", "x", "1e999"].map(wholeNumber)).toEqual(["12", "7", "", "", "", "", ""]);
});

test("a page's address says what it shows, and any other one is the overview", () => {
  for (const name of ["demo", "a/b?c#d%", "\u202e<x>", "."]) {
    expect(routeOf(hashOf("sessions", name))).toEqual({ page: "sessions", of: name });
  }
  expect(routeOf("#/sessions/100%")).toEqual({ page: "sessions", of: "100%" });
  for (const none of ["", "#", "#/", "#/nothing/x", "#<script>"]) expect(routeOf(none)).toEqual({ page: "overview", of: null });
});

test("the session of a log says whose it is", () => {
  expect(["deployments/a b/logs", "deployments/a/b/logs", "x/deployments/a/logs", "demo"].map(deploymentOf)).toEqual(["a b", null, null, null]);
});

test("what is not known is never 0", () => {
  for (const say of [sayCount, sayRate, sayBytes, sayMs, saySeconds]) {
    expect([null, undefined, Number.NaN].map(say)).toEqual(["–", "–", "–"]);
    expect(say(0)).not.toBe("–");
  }
  expect([sayBytes(1023), sayBytes(1536), sayBytes(5 * 1024 ** 3)]).toEqual(["1,023 B", "1.5 KiB", "5 GiB"]);
  expect([sayMs(0.1234), sayMs(12.4), sayMs(2_500)]).toEqual(["0.12 ms", "12 ms", "2.5 s"]);
  expect([saySeconds(59), saySeconds(3_600), saySeconds(90_061)]).toEqual(["59 s", "1 h", "1 d 1 h"]);
});

test("what is typed is JSON, or else a text", () => {
  expect(['{"a": 1}', "7", "seven", ""].map(dataOf)).toEqual([{ a: 1 }, 7, "seven", ""]);
});
