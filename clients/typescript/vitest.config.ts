import { fileURLToPath } from "node:url";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";

const react18 = (path: string): string => fileURLToPath(new URL(`test/react18/node_modules/${path}`, import.meta.url));

/** The system's Chromium, without its windows if that is installed; nothing is downloaded. */
const browser = () => ({
  enabled: true,
  headless: true,
  screenshotFailures: false,
  api: { host: "127.0.0.1", port: 0 },
  provider: playwright({
    launchOptions: {
      executablePath: process.env["CHROMIUM_HEADLESS"] ?? process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--js-flags=--expose-gc",
      ],
    },
  }),
  instances: [{ browser: "chromium" as const }],
});

/** Known beforehand, so that no test is interrupted by a page that is loaded anew. */
const react = {
  include: [
    "react",
    "react/jsx-runtime",
    "react/jsx-dev-runtime",
    "react-dom",
    "react-dom/client",
    "react-dom/server",
    "@testing-library/react",
  ],
};

const common = { testTimeout: 60_000, hookTimeout: 60_000, expect: { poll: { interval: 5, timeout: 20_000 } } };

export default defineConfig({
  test: {
    globalSetup: ["test/kit/global-setup.ts"],
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...common,
          name: "node",
          include: ["test/{unit,node,testing,tabs}/**/*.test.{ts,tsx}", "contract/*.test.ts"],
          setupFiles: ["test/kit/check.ts"],
          execArgv: ["--expose-gc"],
        },
      },
      {
        cacheDir: "node_modules/.vite/browser",
        test: {
          ...common,
          name: "browser",
          include: ["test/browser/**/*.test.ts"],
          setupFiles: ["test/kit/check.ts"],
          browser: browser(),
        },
      },
      {
        cacheDir: "node_modules/.vite/react19",
        optimizeDeps: react,
        test: { ...common, name: "react19", include: ["test/react/**/*.test.{ts,tsx}"], browser: browser() },
      },
      {
        cacheDir: "node_modules/.vite/react18",
        optimizeDeps: react,
        resolve: {
          alias: [
            { find: /^react(\/.*)?$/, replacement: `${react18("react")}$1` },
            { find: /^react-dom(\/.*)?$/, replacement: `${react18("react-dom")}$1` },
          ],
        },
        test: {
          ...common,
          name: "react18",
          include: ["test/react/**/*.test.{ts,tsx}"],
          // React has `<Activity>` since 19.2.
          exclude: ["test/react/activity.test.tsx"],
          browser: browser(),
        },
      },
    ],
  },
});
