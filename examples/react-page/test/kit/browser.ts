import { chromium, type Browser, type Locator, type Page } from "playwright-core";

/** The system's Chromium, without its windows if that is installed; nothing is downloaded. */
export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env["CHROMIUM_HEADLESS"] ?? process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** The page, and what went wrong in it. */
export interface Visit {
  readonly page: Page;
  /** Errors in the console and thrown ones, but for what the browser itself says of failed requests. */
  readonly errors: readonly string[];
  part(name: string): Locator;
  click(name: string): Promise<void>;
  /** `idle`, `connecting`, `open` and so on. */
  state(): Promise<string | null>;
  /** A figure, as the page shows it. */
  figure(name: string): Promise<number>;
  /** The log, the oldest row first: running numbers, and the words of what is no update. */
  rows(): Promise<(number | string)[]>;
  /** What has moved by itself, but for the rows of the log. */
  moved(): Promise<string[]>;
}

/** What TypeScript's own types of the browser lack. */
interface LayoutShift extends PerformanceEntry {
  readonly hadRecentInput: boolean;
  readonly sources: readonly { readonly node: Node | null }[];
}

declare global {
  var moved: string[];
}

export async function visit(browser: Browser, address: string): Promise<Visit> {
  const page = await browser.newPage({ viewport: { width: 1_200, height: 1_000 } });
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    const text = message.text();
    if (/error|warning/.test(message.type()) && !text.startsWith("Failed to load resource")) errors.push(text);
  });
  await page.addInitScript(() => {
    globalThis.moved = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as LayoutShift[]) {
        // What moves because it was clicked may move.
        for (const { node } of entry.hadRecentInput ? [] : entry.sources) {
          const element = node instanceof Element ? node : node?.parentElement;
          if (element && !element.closest("[data-testid=log]")) globalThis.moved.push(element.outerHTML.slice(0, 200));
        }
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  await page.goto(address);
  const part = (name: string): Locator => page.getByTestId(name);
  return {
    page,
    errors,
    part,
    click: (name) => part(name).click(),
    state: () => part("state").getAttribute("data-state"),
    figure: async (name) => Number(await part(name).textContent()),
    rows: () =>
      part("log")
        .locator("li")
        .evaluateAll((rows) =>
          rows
            .map((row) => {
              const { kind, n } = (row as HTMLElement).dataset;
              return kind === "update" ? Number(n) : (row.lastElementChild?.textContent ?? "");
            })
            .reverse(),
        ),
    moved: () => page.evaluate(() => globalThis.moved),
  };
}
