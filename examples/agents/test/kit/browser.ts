import { chromium, type Browser, type BrowserContext, type Locator, type Page } from "playwright-core";
import { expect } from "vitest";
import type { Watch } from "../../src/api.ts";
import type { Run } from "../../src/model/run.ts";

/** The system's Chromium; nothing is downloaded. */
export const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** The same without its windows, if that is installed: it has no tabs that hide each other, and takes half the time. */
const HEADLESS = process.env["CHROMIUM_HEADLESS"] ?? CHROMIUM;

export const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: HEADLESS, args: ARGS });
}

export const PASSWORDS = { ada: "analytical engine", grace: "flow-matic" } as const;

/** A tab, and what went wrong in it. */
export interface Tab {
  readonly page: Page;
  /** Errors in the console and thrown ones, but for what the browser itself says of failed requests. */
  readonly errors: readonly string[];
  part(name: string): Locator;
  /** An attribute of the run that is shown. */
  run(name: "id" | "n" | "status" | "gaps" | "mended" | "applied" | "repeated"): Promise<string>;
  text(): Promise<string>;
  /** The state of a connection. */
  state(of: "list" | "run"): Promise<string | null>;
  /** Notes the states of tools from now on, however soon they are in another one; what it returns tells them. */
  toolStatesFromNowOn(): Promise<() => Promise<string[]>>;
  /** Starts runs by the form; the first of them is shown then. Resolves to its id. */
  start(task: string, words: 40 | 120 | 600, count?: 1 | 10 | 200): Promise<string>;
  /** Resolves once so many characters of text are there. */
  hasText(length: number): Promise<void>;
  /** What the service has kept of the run that is shown. */
  kept(): Promise<Run>;
  /** The same, asked past the browser's network. @param service where it listens */
  keptAt(service: string): Promise<Run>;
}

export type User = keyof typeof PASSWORDS;

/** Opens a tab of a user, in a context that shares nothing with other tabs. */
export async function open(browser: Browser, address: string, user: User): Promise<Tab> {
  return openIn(await browser.newContext({ viewport: { width: 1_200, height: 900 } }), address, user);
}

/** Opens one more tab, and signs in unless another tab has. */
export async function openIn(context: BrowserContext, address: string, user: User): Promise<Tab> {
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    const text = message.text();
    if (/error|warning/.test(message.type()) && !text.startsWith("Failed to load resource")) errors.push(text);
  });
  await page.goto(address);
  const part = (name: string): Locator => page.getByTestId(name);
  await page.locator("[data-testid=user], [data-testid=who]").first().waitFor();
  if (await part("user").count()) {
    await part("user").fill(user);
    await part("password").fill(PASSWORDS[user]);
    await part("sign-in").click();
  }
  await expect.poll(() => part("who").textContent()).toBe(user);
  const run: Tab["run"] = async (name) => (await part("run").getAttribute(`data-${name}`)) ?? "";
  const text = async (): Promise<string> => ((await part("text").count()) ? ((await part("text").textContent()) ?? "") : "");
  return {
    page,
    errors,
    part,
    run,
    text,
    state: (of) => part(`${of}-state`).getAttribute("data-state"),
    async toolStatesFromNowOn() {
      const seen = await page.evaluateHandle(() => {
        const states: string[] = [];
        new MutationObserver(() => {
          for (const { dataset } of document.querySelectorAll<HTMLElement>("[data-testid=tool]")) {
            const { state = "" } = dataset;
            if (!states.includes(state)) states.push(state);
          }
        }).observe(document.body, { subtree: true, childList: true, attributeFilter: ["data-state"] });
        return states;
      });
      return () => seen.jsonValue();
    },
    async start(task, words, count = 1) {
      await part("task").fill(task);
      await part("words").selectOption(`${words}`);
      await part("count").selectOption(`${count}`);
      await part("start").click();
      await expect.poll(() => part("run-task").textContent()).toBe(count === 1 ? task : `${task} #1`);
      return run("id");
    },
    hasText: (length) => expect.poll(async () => (await text()).length).toBeGreaterThanOrEqual(length),
    async kept() {
      const id = await run("id");
      const { snapshot } = await page.evaluate(async (of): Promise<Watch<Run>> => (await fetch(`/api/runs/${of}/watch`)).json(), id);
      return snapshot;
    },
    async keptAt(service) {
      const [cookie] = await page.context().cookies();
      const headers = { cookie: `${cookie?.name}=${cookie?.value}` };
      const answer = await fetch(`${service}/api/runs/${await run("id")}/watch`, { headers });
      return ((await answer.json()) as Watch<Run>).snapshot;
    },
  };
}

/** The run that is shown has ended, and all of it is there, once: by what the service kept, and by the text's own numbers. */
export async function expectWhole(tab: Tab, status: "done" | "interrupted" = "done"): Promise<void> {
  await expect.poll(() => tab.run("status")).toBe(status);
  const kept = await tab.kept();
  expect({ n: await tab.run("n"), text: await tab.text() }).toEqual({ n: `${kept.n}`, text: kept.text });
  const sentences = [...kept.text.matchAll(/\((\d+)\) /g)].map(([, n]) => Number(n));
  expect(sentences).toEqual(sentences.map((_, index) => index + 1));
  expect(sentences.length).toBeGreaterThan(0);
  expect(await tab.part("end").getAttribute("data-status")).toBe(status);
  expect(await tab.state("run")).toBe("over");
  expect(tab.errors).toEqual([]);
}
