import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect, test } from "vitest";
import { here } from "../scripts/files.mjs";
import { startApp, type App } from "./kit/app.ts";
import { expectWhole, launch, open } from "./kit/browser.ts";

/** What a copy has of its own. The packages are ours: what they are called and where they come from is npm's concern. */
const COPIED = ["scripts", "service", "src", "index.html", "package.json", "package-lock.json", "vite.config.ts"];

test("a copy of the folder runs far from the repository, with a hub that is installed", async () => {
  const project = mkdtempSync(join(tmpdir(), "agents-project-"));
  const browser = await launch();
  let app: App | undefined;
  try {
    for (const name of COPIED) cpSync(join(here, name), join(project, name), { recursive: true, preserveTimestamps: true });
    symlinkSync(join(here, "node_modules"), join(project, "node_modules"));
    const installed = join(project, "installed");
    mkdirSync(installed);
    symlinkSync(process.env["WATERTIGHT_BIN"]!, join(installed, "watertight"));
    app = await startApp({ WATERTIGHT_BIN: "", PATH: `${installed}${delimiter}${process.env["PATH"]}` }, project);
    const tab = await open(browser, app.page, "ada");
    await tab.start("Far from home", 40);
    await expectWhole(tab);
  } finally {
    await browser.close();
    if (app) expect(await app.stop()).toBe(0);
    rmSync(project, { recursive: true });
  }
});
