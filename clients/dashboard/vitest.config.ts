import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { dedupe: ["react", "react-dom", "watertight"] },
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    // One browser, one hub, on machines with few cores.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { interval: 25, timeout: 60_000 } },
  },
});
