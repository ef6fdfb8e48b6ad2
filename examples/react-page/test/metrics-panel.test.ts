import type { Locator } from "playwright-core";
import { beforeEach, expect, test } from "vitest";
import type { Visit } from "./kit/browser.ts";
import { expectState, onStandIn } from "./kit/stage.ts";
import type { StandIn } from "./kit/stand-in.ts";

// The metrics panel, fed by something that speaks as a hub does.

const PATH = "/services/metrics/stream";

let hub: StandIn;
let it: Visit;
/** The time of the samples, by the hub's clock, which is not the page's. */
let clock: number;

beforeEach(() => {
  clock = 1_764_185_513;
});

onStandIn({ panel: "metrics", path: () => "#metrics" }, (stage) => ({ hub, it } = stage));

const state = (name: string): Promise<void> => expectState(it, "metrics", name);
const host = (figures: object, missing: object = {}): object => ({
  id: "host",
  source: "host",
  of: "machine",
  error: null,
  figures,
  missing,
});
const sample = (...services: object[]): void => {
  clock += 5;
  hub.send(PATH, "metrics", { sampledAt: clock, interval: 5, services });
};
const service = (id: string): Locator => it.page.locator(`[data-testid=service][data-id="${id}"]`);
const lines = (id: string, plot: string): Promise<number> =>
  service(id).locator(`[data-testid=plot-${plot}] [data-testid=line]`).count();
const figure = (id: string, name: string): Locator => service(id).getByTestId(`figure-${name}`);

test("shows figures and plots of each service, and whose they are", async () => {
  const figures = {
    cpuPercent: 12.5,
    cpuCores: 0.25,
    cpuLimitCores: 2,
    memoryBytes: 256 * 1024 ** 2,
    memoryLimitBytes: 512 * 1024 ** 2,
    memoryPercent: 50,
    threads: 3,
    fds: 4,
    readBytesPerSecond: 0,
    writeBytesPerSecond: 2_048,
  };
  sample(host(figures));
  sample(host(figures), { ...host({ cpuPercent: 99 }), id: "api", source: "process", of: "cgroup" });
  await expect.poll(() => it.part("service").count()).toBe(2);
  const said = async (name: string): Promise<string> => figure("host", name).locator("dd").innerText();
  expect(
    await Promise.all(
      ["cpuPercent", "cpuCores", "memoryBytes", "memoryLimitBytes", "readBytesPerSecond", "writeBytesPerSecond"].map(said),
    ),
  ).toEqual(["12.5 %", "0.25", "256 MiB", "512 MiB", "0 B/s", "2 KiB/s"]);
  expect(await service("host").getByTestId("service-of").innerText()).toBe("host · figures and limits of the whole machine");
  expect(await service("api").getByTestId("service-of").innerText()).toBe(
    "process · figures and limits of its cgroup (container)",
  );
  // Half of its limit, in the middle of the plot.
  expect(await service("host").locator("[data-testid=plot-memory] [data-testid=line]").getAttribute("d")).toMatch(
    /^M[\d.]+ 60\.0 L600\.0 60\.0$/,
  );
  expect(
    await service("host")
      .getByRole("img", { name: /^CPU: 12.5 % now, between 12.5 % and 12.5 %/ })
      .count(),
  ).toBe(1);
});

test("what is not known is said with its reason, and is a hole in the plot, never 0", async () => {
  sample(host({ cpuPercent: null, memoryBytes: 1 }, { cpuPercent: "first_sample" }));
  await expect.poll(() => figure("host", "cpuPercent").innerText()).toMatch(/–\s+a rate needs a second sample/);
  expect(await lines("host", "cpu")).toBe(0);
  sample(host({ cpuPercent: 10, memoryBytes: 1 }));
  sample(host({ cpuPercent: 10, memoryBytes: 1 }));
  sample(host({ cpuPercent: null, memoryBytes: 1 }, { cpuPercent: "restarted" }));
  sample(host({ cpuPercent: 20, memoryBytes: 1 }));
  sample(host({ cpuPercent: 20, memoryBytes: 1 }));
  await expect.poll(() => lines("host", "cpu")).toBe(2);
  expect(await lines("host", "memory")).toBe(1);
  const drawn = await service("host")
    .locator("[data-testid=plot-cpu] [data-testid=line]")
    .evaluateAll((all) => all.map((line) => line.getAttribute("d")));
  expect(drawn.join()).not.toContain(" 120.0");
});

test("a service that fails says so, keeps its plot, and disturbs no other", async () => {
  const db = { id: "db", source: "process", of: "machine", error: null, figures: { cpuPercent: 5, memoryBytes: 1 }, missing: {} };
  sample(host({ cpuPercent: 10 }), db);
  sample(host({ cpuPercent: 10 }), {
    id: "db",
    source: "process",
    error: { code: "NO_SUCH_PROCESS", detail: "no process has the id 4711" },
  });
  await expect
    .poll(() => service("db").getByTestId("service-error").innerText())
    .toBe("NO_SUCH_PROCESS no process has the id 4711");
  expect(await lines("db", "cpu")).toBe(1);
  expect(await service("host").getByTestId("service-error").count()).toBe(0);
  sample(host({ cpuPercent: 11 }));
  await expect.poll(() => service("db").getByTestId("service-gone").count()).toBe(1);
  expect(await figure("host", "cpuPercent").locator("dd").innerText()).toBe("11 %");
});

test("while the connection is away the page says so, and the plot has a gap there", async () => {
  for (let n = 0; n < 3; n++) sample(host({ cpuPercent: 10 }));
  await expect.poll(() => lines("host", "cpu")).toBe(1);
  hub.drop({ refuse: true });
  await state("reconnecting");
  expect(await it.part("metrics-age").getAttribute("data-late")).toBe("true");
  hub.accept();
  await state("open");
  sample(host({ cpuPercent: 20 }));
  sample(host({ cpuPercent: 20 }));
  await expect.poll(() => lines("host", "cpu")).toBe(2);
  expect(await service("host").locator("[data-testid=plot-cpu] [data-testid=away]").count()).toBe(1);
  expect(await it.part("metrics-age").getAttribute("data-late")).toBe("false");
});

test("says that what samples does not answer, until a sample comes", async () => {
  hub.comment(PATH, "waiting for source");
  await expect.poll(() => it.part("metrics-source").allInnerTexts()).toEqual(["waiting for source"]);
  sample(host({ cpuPercent: 10 }));
  await expect.poll(() => it.part("metrics-source").count()).toBe(0);
  hub.greet("waiting for source");
  hub.drop();
  await expect.poll(() => hub.asked.length).toBeGreaterThan(1);
  await expect.poll(() => it.part("metrics-source").count()).toBe(1);
});

test("a sample that is overdue is told by its age, though the clocks differ", async () => {
  clock += 1;
  hub.send(PATH, "metrics", { sampledAt: clock, interval: 0.5, services: [host({ cpuPercent: 10 })] });
  await expect.poll(() => it.part("metrics-age").innerText()).toMatch(/^Last sample [0-2] s ago, every 0.5 s$/);
  await expect.poll(() => it.part("metrics-age").getAttribute("data-late")).toBe("true");
  await expect.poll(() => it.part("metrics-age").innerText()).toMatch(/^Last sample [3-9] s ago/);
});

test("Prometheus: a table of values and rates, filtered by name and label", async () => {
  const counter = {
    name: "http_requests_total",
    type: "counter",
    help: "Requests",
    samples: [
      { name: "http_requests_total", labels: { code: "200" }, value: 17, perSecond: 0.2 },
      { name: "http_requests_total", labels: { code: "500" }, value: null, missing: "not_a_number" },
      { name: "http_requests_total", labels: { code: "404" }, value: 3, perSecond: null, missing: "restarted" },
    ],
  };
  sample({
    id: "api",
    source: "prometheus",
    error: null,
    families: [counter, { name: "up", type: "gauge", samples: [{ name: "up", labels: {}, value: 1 }] }],
  });
  await expect.poll(() => it.part("family-row").count()).toBe(4);
  const rows = async (): Promise<string[]> =>
    (await it.part("family-row").allInnerTexts()).map((row) => row.replace(/\s+/g, " ").trim());
  expect(await rows()).toEqual([
    'http_requests_total{code="200"} counter 17 0.2',
    'http_requests_total{code="500"} counter – it is not a number (NaN) –',
    'http_requests_total{code="404"} counter 3 – its counter began anew',
    "up gauge 1 –",
  ]);
  expect(await service("api").getByTestId("plot-cpu").count()).toBe(0);
  await it.page.getByRole("searchbox", { name: "Filter the metrics of api" }).fill("404");
  await expect.poll(rows).toHaveLength(1);
});

test("hostile names are text, and events that are no samples are counted", async () => {
  const name = `<img src=x onerror="alert(1)">\u202e\x1b[31m`;
  sample({ ...host({ cpuPercent: 1, [name]: 2 }), id: name, error: { code: name, detail: "x".repeat(10_000) } });
  await expect.poll(() => it.page.locator("h3").innerText()).toBe(`<img src=x onerror="alert(1)">‹U+202E›␛[31m`);
  expect(await it.page.locator(".service img").count()).toBe(0);
  hub.send(PATH, "metrics", "nonsense");
  hub.send(PATH, "metrics", { sampledAt: "now" });
  await expect.poll(() => it.part("metrics-notes").innerText()).toBe("2 events could not be read.");
});

test("a moment can be read with the pointer and with the keyboard", async () => {
  for (const cpuPercent of [10, 20, 30]) sample(host({ cpuPercent }));
  await expect.poll(() => lines("host", "cpu")).toBe(1);
  await service("host").locator("[data-testid=plot-cpu] svg").focus();
  const read = (): Promise<string> => service("host").getByTestId("read-cpu").innerText();
  await it.page.keyboard.press("ArrowLeft");
  await expect.poll(read).toMatch(/: 30 %$/);
  await it.page.keyboard.press("ArrowLeft");
  await expect.poll(read).toMatch(/: 20 %$/);
  await service("host")
    .locator("[data-testid=plot-cpu] svg")
    .hover({ position: { x: 1, y: 10 } });
  await expect.poll(read).toMatch(/: 10 %$/);
});

test("a hub without this route is said to be one, and asked again by hand", async () => {
  await it.page.route("**/hub/services/**", (route) =>
    route.fulfill({
      status: 404,
      contentType: "application/problem+json",
      body: JSON.stringify({ status: 404, detail: "no such route", code: "NOT_FOUND" }),
    }),
  );
  hub.drop();
  await state("error");
  expect(await it.part("metrics-state").innerText()).toContain("no such route");
  await it.page.unroute("**/hub/services/**");
  await it.click("metrics-connect");
  await state("open");
});

test("fits a phone, and moves nothing while it runs", async () => {
  sample(host({ cpuPercent: 1, memoryBytes: 2 }), {
    id: "x".repeat(200),
    source: "prometheus",
    error: null,
    families: [{ name: "m", type: "gauge", samples: [{ name: "m".repeat(200), labels: {}, value: 1 }] }],
  });
  await expect.poll(() => it.part("service").count()).toBe(2);
  await it.page.setViewportSize({ width: 360, height: 740 });
  expect(await it.page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  await it.page.setViewportSize({ width: 1_200, height: 1_000 });
  await it.page.evaluate(() => void (globalThis.moved = []));
  for (let n = 0; n < 20; n++)
    sample(host({ cpuPercent: n * 7, memoryBytes: n * 1e8 }), {
      id: "x".repeat(200),
      source: "prometheus",
      error: null,
      families: [],
    });
  await expect.poll(() => figure("host", "cpuPercent").locator("dd").innerText()).toBe("133 %");
  expect((await it.moved()).filter((element) => !element.includes("famil"))).toEqual([]);
});
