import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Each file has an application and a browser of its own, and waits most of the time: for agents, and for restarts.
    maxWorkers: 2,
    testTimeout: 120_000,
    // The first run may have to build the hub.
    hookTimeout: 1_800_000,
    expect: { poll: { interval: 25, timeout: 60_000 } },
  },
});
