import { afterEach, expect } from "vitest";
import { ledger } from "../../src/ledger.ts";
import { stopAll } from "./remote.ts";
import { stopServers } from "./servers.ts";
import { destroyAll } from "./watch.ts";

// After each test: clients are destroyed, and that very moment nothing of theirs is left; soon after no server has a
// connection left.
afterEach(async () => {
  try {
    destroyAll();
    expect(ledger).toEqual({ clients: 0, attempts: 0, timers: 0, listeners: 0, handlers: 0 });
  } finally {
    await stopServers();
    await stopAll();
  }
});
