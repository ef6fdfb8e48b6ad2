import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

/** The system's Chromium, without its windows if that is installed; nothing is downloaded. */
export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env["CHROMIUM_HEADLESS"] ?? process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

export interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Errors in the console, the policy's among them, and thrown ones; not what the browser says of refused requests. */
  readonly errors: readonly string[];
}

interface Look {
  readonly dark?: boolean;
  readonly phone?: boolean;
}

/** A visit of somebody who was never there before. */
export async function visit(browser: Browser, address: string, { dark = false, phone = false }: Look = {}): Promise<Visit> {
  const context = await browser.newContext({
    viewport: phone ? { width: 360, height: 740 } : { width: 1_280, height: 1_000 },
    colorScheme: dark ? "dark" : "light",
  });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    const text = message.text();
    if (/error|warning/.test(message.type()) && !text.startsWith("Failed to load resource")) errors.push(text);
  });
  await page.goto(address);
  return { page, context, errors };
}
