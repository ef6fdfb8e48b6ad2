import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Where the hub looks for the page when it is compiled. */
const ASSETS = fileURLToPath(new URL("../../crates/server/assets", import.meta.url));
const HUB = process.env["HUB_URL"] ?? "http://127.0.0.1:8080";
/** What the development server hands on to the hub. */
const ROUTES = ["/stats", "/sessions", "/connections", "/sources", "/deployments", "/services", "/tokens"];

export default defineConfig({
  plugins: [react()],
  // Relative addresses: the page works below whatever path a proxy puts it.
  base: "./",
  // The panels of the example and the client have folders of their own; there has to be one of each in the page.
  resolve: { dedupe: ["react", "react-dom", "watertight"] },
  build: {
    outDir: process.env["DASHBOARD_OUT"] ?? ASSETS,
    emptyOutDir: true,
    assetsDir: "",
    // No inline script, and no data: addresses but the icon's.
    modulePreload: false,
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    rolldownOptions: {
      output: {
        hashCharacters: "hex",
        entryFileNames: "dashboard-[hash].js",
        assetFileNames: "dashboard-[hash][extname]",
      },
    },
  },
  server: {
    host: "127.0.0.1",
    proxy: Object.fromEntries(ROUTES.map((path) => [path, HUB])),
    fs: { allow: [".", "../typescript", "../../examples/react-page/src"] },
  },
});
