/**
 * For the tests of applications: a hub in memory, a clock, a page, and the assertion that nothing leaks. Depends on no
 * test runner.
 *
 * @packageDocumentation
 */
export { createClock, type ManualClock } from "./clock.ts";
export { createMemoryHub, type MemoryHub, type MemoryHubOptions, type Refusal } from "./hub.ts";
export { expectNoLeaks, takeLedger, type Ledger } from "./leaks.ts";
export { createMockSSE, type MockSSE, type MockSSEOptions } from "./mock.ts";
export { createPage, type FakeDocument, type FakePage, type Listener } from "./page.ts";
export type { HubRequest } from "./request.ts";
export { settle } from "./settle.ts";
