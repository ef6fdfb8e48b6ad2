import { fileURLToPath } from "node:url";
import { createServer, type ViteDevServer } from "vite";

/** The page alone, as Vite serves it, with `/hub` leading to a hub of the test's. */
export async function startPage(hub: string): Promise<{ readonly address: string; stop(): Promise<void> }> {
  // Read by vite.config.ts.
  process.env["HUB_URL"] = hub;
  const server: ViteDevServer = await createServer({
    root: fileURLToPath(new URL("../..", import.meta.url)),
    mode: "development",
    clearScreen: false,
    // A hub that is away is part of the tests, and Vite would write of each attempt.
    logLevel: "silent",
    server: { port: 0 },
  });
  await server.listen();
  return { address: server.resolvedUrls?.local[0] ?? "", stop: () => server.close() };
}
