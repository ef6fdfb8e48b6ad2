import { fileURLToPath } from "node:url";

/** What the hub serves: built from the sources beside, and committed. */
export const ASSETS = fileURLToPath(new URL("../../../../crates/server/assets", import.meta.url));
