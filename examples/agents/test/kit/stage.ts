import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll } from "vitest";
import { expectNothingLeft, startApp, type App } from "./app.ts";
import { launch } from "./browser.ts";

/** What each test of a file is given. */
export interface Stage {
  readonly app: App;
  readonly browser: Browser;
}

/** One application and one browser for all tests of a file. After each, no tab is open, and the hub has every stream back. */
export function onStage(settings: Record<string, string>, begin: (stage: Stage) => void): void {
  let app: App;
  let browser: Browser;
  beforeAll(async () => {
    app = await startApp(settings);
    browser = await launch();
    begin({ app, browser });
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    await expectNothingLeft(app);
  });
  afterAll(async () => {
    await browser?.close();
    await app?.stop();
  });
}
