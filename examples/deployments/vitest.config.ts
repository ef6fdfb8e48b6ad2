import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Each file has a platform of its own, and mostly waits for it. Builds of many at once need the cores.
    maxWorkers: 3,
    testTimeout: 180_000,
    // The first run may have to build the hub.
    hookTimeout: 1_800_000,
    expect: { poll: { interval: 25, timeout: 60_000 } },
  },
});
