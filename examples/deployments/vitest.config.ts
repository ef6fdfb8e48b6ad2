import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // One browser, one platform, on machines with few cores.
    fileParallelism: false,
    testTimeout: 180_000,
    // The first run may have to build the hub.
    hookTimeout: 1_800_000,
    expect: { poll: { interval: 25, timeout: 30_000 } },
  },
});
