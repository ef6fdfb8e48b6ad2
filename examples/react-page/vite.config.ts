import react from "@vitejs/plugin-react";
import { defineConfig, type ProxyOptions } from "vite";

/** The hub as the page sees it: below the page's own origin, so that no CORS is needed. */
const proxy: Record<string, ProxyOptions> = {
  "/hub": {
    target: process.env["HUB_URL"] ?? "http://127.0.0.1:8080",
    rewrite: (path) => path.replace(/^\/hub/, ""),
    configure: (proxies) => {
      // Vite's proxy keeps the page's stream open when the hub's breaks off in the middle. The client would notice by
      // the missing heartbeats, after 45 s; this way it is told at once.
      proxies.on("proxyRes", (answer, _, response) => {
        answer.once("close", () => answer.complete || response.destroy());
      });
    },
  },
};

export default defineConfig({
  plugins: [react()],
  // The client is a link to a folder with a React of its own, for its tests. There has to be one React in a page.
  resolve: { dedupe: ["react", "react-dom"] },
  // Known beforehand, so that the first visit is not loaded twice.
  optimizeDeps: { include: ["react", "react-dom/client", "react/jsx-runtime", "react/jsx-dev-runtime"] },
  // No page of another origin reads the hub through this one.
  server: { host: "127.0.0.1", proxy, cors: false, fs: { allow: [".", "../../clients/typescript"] } },
  preview: { host: "127.0.0.1", proxy, cors: false },
});
