import { expect, test, vi } from "vitest";
import { SSEClient } from "../../src/index.ts";

vi.mock("../../src/client.ts");

test("a client that an application's test mocks still has its methods, and none of them does anything", () => {
  const client = new SSEClient({ sessionId: "s" });
  for (const name of ["on", "onConnectionChange", "events", "connect", "reconnect", "disconnect", "destroy"] as const) {
    expect(vi.isMockFunction(client[name]), name).toBe(true);
  }
  vi.mocked(client.connect).mockImplementation(() => void client.on("message", () => {}));
  client.connect();
  expect(client.on).toHaveBeenCalledExactlyOnceWith("message", expect.any(Function));
});
