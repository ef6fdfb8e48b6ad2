// Where the hub is: in a project of its own, its binary is installed and this file has one line.
import { buildHub } from "../../react-page/scripts/hub.mjs";

/** The binary that `WATERTIGHT_BIN` names, or what cargo makes of this repository. */
export async function hubBinary(options: { readonly release: boolean }): Promise<string> {
  return process.env["WATERTIGHT_BIN"] ?? (await buildHub(options));
}
