import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

test("the client package is looked after at each start, also when all packages are there; if it cannot be built, each start says so", () => {
  const folder = mkdtempSync(join(tmpdir(), "deployments-install-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [here, prepare] = [join(folder, "deployments"), join(folder, "react-page/scripts/prepare.mjs")];
  for (const made of ["deployments/scripts", "deployments/node_modules", "react-page/scripts"]) mkdirSync(join(folder, made), { recursive: true });
  cpSync(fileURLToPath(new URL("../scripts/install.mjs", import.meta.url)), join(here, "scripts/install.mjs"));
  for (const name of ["package-lock.json", "node_modules/.package-lock.json"]) writeFileSync(join(here, name), "{}");
  utimesSync(join(here, "package-lock.json"), 1, 1);
  const install = (script: string): [code: number | null, said: string] => {
    writeFileSync(prepare, script);
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(here, "scripts/install.mjs")], { encoding: "utf8" });
    return [status, stdout + stderr];
  };
  for (let start = 0; start < 2; start++) {
    expect(install("process.exit(3)")).toEqual([1, expect.stringContaining("the client package could not be built (3)")]);
  }
  expect(install('console.log("built")')).toEqual([0, "built\n"]);
});
