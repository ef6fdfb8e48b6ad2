import { chromium, type Browser, type BrowserContext, type CDPSession, type Locator, type Page, type Response as PageResponse } from "playwright-core";
import { expect } from "vitest";
import type { Way } from "./member.ts";
import type { Network } from "./network.ts";
import { PASSWORDS, type Stage } from "./stage.ts";
import type { Tabs } from "./tabs.ts";

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

/** What the browser says of requests that fail, and Vite of its own. */
const OF_OTHERS = /^Failed to load resource|CORS policy|^WebSocket connection to|^\[vite\]/;

/** Where a page is opened. */
export interface Beside {
  /** As another tab in the browser of this one. */
  readonly beside?: Visit;
  /** In a browser that has this network. */
  readonly network?: Network;
  /** In a browser whose tabs hide each other. */
  readonly tabs?: Tabs;
}

/** Somebody's browser, with a cookie jar of its own, and the page in it. */
export class Visit {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Errors in the console and thrown ones, but for what the browser itself says of failed requests. */
  readonly errors: string[] = [];

  private constructor(context: BrowserContext, page: Page) {
    this.context = context;
    this.page = page;
    page.on("pageerror", (error) => this.errors.push(String(error)));
    page.on("console", (message) => {
      const text = message.text();
      if (/error|warning/.test(message.type()) && !OF_OTHERS.test(text)) this.errors.push(text);
    });
  }

  /** Opens the page, in a browser in which nobody is signed in; or in that of another visit, as another tab. */
  static async begin(browser: Browser, stage: Stage, query: string, { beside, network, tabs }: Beside = {}): Promise<Visit> {
    const viewport = { width: 1_200, height: 1_000 };
    const context = beside?.context ?? tabs?.context ?? (await browser.newContext({ viewport, ...(network && { proxy: network.proxy }) }));
    const visit = new Visit(context, await context.newPage());
    await visit.page.goto(stage.platform.pageUrl + query);
    return visit;
  }

  /** The page of somebody who signs in. */
  static async of(browser: Browser, stage: Stage, user: keyof typeof PASSWORDS, way: Way, more = "", beside?: Beside): Promise<Visit> {
    const visit = await Visit.begin(browser, stage, `?way=${way}${more}`, beside);
    await visit.signIn(user);
    return visit;
  }

  async signIn(user: keyof typeof PASSWORDS): Promise<void> {
    await this.part("user").fill(user);
    await this.part("password").fill(PASSWORDS[user]);
    await this.click("sign-in");
    await expect.poll(() => this.part("who").textContent()).toBe(user);
  }

  part(name: string): Locator {
    return this.page.getByTestId(name);
  }

  click(name: string): Promise<void> {
    return this.part(name).click();
  }

  /**
   * Lets the page wait for who is signed in until what it returns is called: a page that learns that nobody is has no streams any
   * more, and does not hear how the others ended.
   */
  async waitsForWhoIsThere(): Promise<() => void> {
    let answer = (): void => {};
    const answered = new Promise<void>((resolve) => (answer = resolve));
    await this.page.route("**/api/session", async (route) => {
      if (route.request().method() === "GET") await answered;
      await route.continue();
    });
    return answer;
  }

  /** Begins a build; its log is shown. */
  async build(project: string): Promise<string> {
    const isMade = (answer: PageResponse): boolean => answer.request().method() === "POST" && answer.url().endsWith("/api/deployments");
    const [answer] = await Promise.all([this.page.waitForResponse(isMade), this.click(`build-${project}`)]);
    const { id } = (await answer.json()) as { id: string };
    await this.row(id).waitFor();
    return id;
  }

  /** Of the list. */
  row(id: string): Locator {
    return this.page.locator(`[data-testid=deployments] li[data-id="${id}"]`);
  }

  /** What the list says of a deployment. */
  listed(id: string): Promise<string | null> {
    return this.row(id).getAttribute("data-state");
  }

  becomes(panel: "log" | "metrics" | "list", state: string): Promise<void> {
    return expect.poll(() => this.part(`${panel}-state`).getAttribute("data-state")).toBe(state);
  }

  /** Notes the states of a panel from now on, beginning with the one that it is in; what it returns tells them. */
  async states(panel: "log" | "list"): Promise<() => Promise<string[]>> {
    const seen = await this.page.evaluateHandle((name) => {
      const states: string[] = [];
      const look = (): void => {
        const state = document.querySelector<HTMLElement>(`[data-testid=${name}]`)?.dataset["state"];
        if (state && state !== states.at(-1)) states.push(state);
      };
      look();
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributeFilter: ["data-state"] });
      return states;
    }, `${panel}-state`);
    return () => seen.jsonValue();
  }

  /** Notes what the list says of each deployment from now on, however soon it says something else; what it returns tells it. */
  async listedFromNowOn(): Promise<(id: string) => Promise<string[]>> {
    const seen = await this.page.evaluateHandle(() => {
      const states: Record<string, string[]> = {};
      new MutationObserver(() => {
        for (const { dataset } of document.querySelectorAll<HTMLElement>("[data-testid=deployments] li")) {
          const { id = "", state = "" } = dataset;
          const known = (states[id] ??= []);
          if (state !== known.at(-1)) known.push(state);
        }
      }).observe(document.body, { subtree: true, childList: true, attributeFilter: ["data-state"] });
      return states;
    });
    return async (id) => (await seen.jsonValue())[id] ?? [];
  }

  /** Codes that a stream was told, the oldest first. */
  said(stream: "log" | "metrics" | "list"): Promise<string[]> {
    return this.page
      .locator(`[data-testid=said] li[data-stream=${stream}]`)
      .evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset["code"] ?? "").reverse());
  }

  /** The rows of the log that are drawn: all, where there are few. */
  rows(): Promise<string[]> {
    return this.page
      .locator(".log-row")
      .evaluateAll((rows) => rows.map((row) => row.querySelector(".log-text, .log-said")?.textContent ?? ""));
  }

  /** The numbers of the lines that are drawn. */
  numbers(): Promise<number[]> {
    return this.page
      .locator(".log-row[data-kind=line]")
      .evaluateAll((rows) => rows.map((row) => Number(row.querySelector(".log-number")?.textContent)));
  }

  end(): Promise<string> {
    return this.part("log-end").innerText();
  }

  devtools(): Promise<CDPSession> {
    return this.context.newCDPSession(this.page);
  }

  /** Closes the page. Nothing may have gone wrong in it. */
  async close(): Promise<void> {
    expect(this.errors).toEqual([]);
    await this.page.close();
  }
}
