import { fileURLToPath } from "node:url";
import { cargoBuild } from "../test/kit/global-setup.ts";
import { buildPackage } from "../test/kit/remote.ts";
import type { Harness } from "./harness.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** A Python in whose environment `clients/python` is installed; `cargo xtask test` makes one. Without it, that service is not driven here. */
const python = process.env["CONTRACT_PYTHON"];

/** The services that the contract tests talk to, each with what starts it. */
export const SERVICES: Record<string, (harness: Harness) => Promise<void>> = {
  TypeScript: async (harness) => {
    await buildPackage();
    await harness.start(process.execPath, here("service.mjs"));
  },
  Rust: async (harness) =>
    harness.start(process.env["CONTRACT_RUST"] ?? (await cargoBuild("--package", "watertight-client", "--example", "contract_service"))),
  ...(python && { Python: async (harness) => harness.start(python, here("../../python/contract/service.py")) }),
};
