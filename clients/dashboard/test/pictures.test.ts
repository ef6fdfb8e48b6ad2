import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { launch, visit } from "./kit/browser.ts";
import { busyHub, PAGES } from "./kit/hub.ts";
import { startStub } from "./kit/stub.ts";

const FOLDER = fileURLToPath(new URL("../../../docs/pictures", import.meta.url));

/** `PICTURES=1 npm test` draws those of docs/dashboard.md anew. */
test.runIf(process.env["PICTURES"])("the pictures of the documents", async () => {
  const hub = await startStub(busyHub("orders/0"));
  onTestFinished(hub.stop);
  const browser = await launch();
  onTestFinished(() => browser.close());
  await mkdir(FOLDER, { recursive: true });
  const looks = [
    { suffix: "", pages: PAGES, look: {} },
    { suffix: "-dark", pages: PAGES.slice(0, 1), look: { dark: true } },
    { suffix: "-phone", pages: PAGES.slice(0, 1), look: { phone: true } },
  ];
  for (const { suffix, pages, look } of looks) {
    const { page, errors } = await visit(browser, hub.url, look);
    for (const [name, hash, ready] of pages) {
      await page.evaluate((to) => void (location.hash = to), hash);
      await page.getByTestId(ready).first().waitFor();
      await page.screenshot({ path: `${FOLDER}/dashboard-${name}${suffix}.png` });
    }
    expect(errors).toEqual([]);
    await page.close();
  }
});
