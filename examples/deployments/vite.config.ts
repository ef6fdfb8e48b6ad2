import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig, type ProxyOptions } from "vite";

/** The API as the page sees it: below the page's own origin, so that its cookie is sent to nobody else. */
const proxy: Record<string, ProxyOptions> = {
  "^/api/": {
    target: process.env["API_URL"] ?? "http://127.0.0.1:3000",
    rewrite: (path) => path.replace(/^\/api/, ""),
    configure: (proxies) => {
      // Vite's proxy keeps the page's stream open when the API's breaks off in the middle. The client would notice by the
      // missing heartbeats, after 45 s; this way it is told at once.
      proxies.on("proxyRes", (answer, _, response) => {
        answer.once("close", () => answer.complete || response.destroy());
      });
    },
  },
};

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export default defineConfig({
  // The page and nothing else: what lies beside it, `data` with the secret of the hub above all, is no file of a web server's.
  root: path("src"),
  publicDir: false,
  envDir: false,
  plugins: [react()],
  // The panels are those of `examples/react-page`: what they import is looked for here, and there is one React in the page.
  resolve: { dedupe: ["react", "react-dom", "watertight"] },
  // Known beforehand, so that the first visit is not loaded twice.
  optimizeDeps: { include: ["react", "react-dom/client", "react/jsx-runtime", "react/jsx-dev-runtime"] },
  server: {
    host: "127.0.0.1",
    proxy,
    // Pages of other origins read nothing here, also those of other ports of this machine.
    cors: false,
    fs: { allow: ["src", "node_modules", "../react-page/src", "../../clients/typescript/dist"].map(path) },
  },
  preview: { host: "127.0.0.1", proxy, cors: false },
  build: { outDir: path("dist"), emptyOutDir: true },
});
