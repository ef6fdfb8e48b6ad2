import { sampleOf } from "./figures.ts";
import { events, type Answer } from "./stub.ts";

/** Would be markup, would turn the text, would hide. */
export const HOSTILE = `<img src=x onerror="globalThis.pwned=1">\u202egnp.\u0007\u200b'"`;

/** Each page, and what is there once it shows something. */
export const PAGES: readonly (readonly [name: string, hash: string, ready: string])[] = [
  ["overview", "#/overview", "plot-trouble"],
  ["sessions", "#/sessions", "session"],
  ["session", "#/sessions/orders%2F4", "event"],
  ["connections", "#/connections", "connection"],
  ["sources", "#/sources", "source"],
  ["deployments", "#/deployments/build-1", "log-panel"],
  ["services", "#/services", "service"],
  ["access", "#/access", "check-token"],
];

const NOW = Date.now();

/** Ten minutes of a busy hub that was away for one of them. */
function tenMinutes(): [string, unknown][] {
  const list: [string, unknown][] = [];
  for (let n = 0; n < 600; n++) {
    if (n >= 300 && n < 360) continue;
    const published = n * 2_000 + Math.round(Math.sin(n / 20) * 4_000);
    list.push(["stats", sampleOf({ at: NOW - (600 - n) * 1_000, published, delivered: published * 5, uptime: 10_000 + n })]);
  }
  return list;
}

const sessionOf = (n: number, odd: string) => ({
  session: n === 0 ? odd : n === 1 ? "deployments/build-1/logs" : `orders/${n}`,
  state: n === 3 ? "ended" : "open",
  endedAt: null,
  keptForSeconds: null,
  subscribers: 5,
  events: 20 + n,
  bytes: 3_000 * n,
  before: "epoch-0",
  newest: `epoch-${n}`,
  lag: n,
  idleSeconds: n * 2.5,
  source: null,
});

const connectionOf = (n: number, odd: string) => ({
  id: `${n}`,
  kind: "session",
  user: n === 0 ? odd : "ada",
  session: n === 0 ? odd : `orders/${n}`,
  address: "192.0.2.7",
  delivery: "stream",
  ageSeconds: 100 * n,
  sent: 1_000 * n,
  received: 0,
  lag: n === 0 ? 812 : 0,
  stalled: n === 0,
  errors: 0,
  validations: 1,
  source: null,
});

const eventsWith = (odd: string): [string, unknown][] => [
  ["order", { id: 7, note: odd, lines: [1, 2, 3] }],
  ["note", `${odd}\nsecond line`],
  ["gap", { from: "epoch-1", to: "epoch-4", missed: 3, reason: "expired" }],
];

const metricsWith = (odd: string) => ({
  sampledAt: NOW / 1_000,
  interval: 5,
  services: [{ id: odd, source: "host", of: "machine", error: null, figures: { cpuPercent: 12.5, memoryBytes: 3e9 }, missing: {} }],
});

/** A hub that has everything: 2,000 sessions, 10,000 connections, a source that is down, somebody who lags. @param odd what some of it is called */
export const busyHub = (odd: string): Answer => ({ method, path }) => {
  const { pathname, searchParams } = new URL(path, "http://hub/");
  const page = Number(searchParams.get("cursor") ?? 0);
  const isGet = method === "GET";
  const numbers = Array.from({ length: 100 }, (_, index) => page * 100 + index);
  const next = page < 19 ? String(page + 1) : null;
  if (isGet && pathname === "/stats/stream") return { stream: events(tenMinutes()) };
  if (isGet && pathname === "/sessions") {
    return { json: { sessions: numbers.map((n) => sessionOf(n, odd)), total: 2_000, matched: 2_000, next } };
  }
  if (pathname.endsWith("/events")) return isGet ? { stream: events(eventsWith(odd)) } : { status: 201, json: { id: "epoch-9" } };
  if (isGet && pathname.startsWith("/sessions/")) return { json: { ...sessionOf(4, odd), session: decodeURIComponent(pathname.slice(10)) } };
  if (method === "POST" && pathname.endsWith("/end")) return { json: { session: "x", last: "epoch-4", endedAt: 1, keep: 60 } };
  if (method === "DELETE" && (pathname.startsWith("/sessions/") || pathname.startsWith("/connections/"))) return { status: 204 };
  if (method === "DELETE" && pathname === "/connections") return { json: { closed: 12 } };
  if (isGet && pathname === "/connections") {
    return { json: { connections: numbers.slice(0, 50).map((n) => connectionOf(n, odd)), total: 10_000, matched: 10_000, next } };
  }
  if (isGet && pathname === "/sources") {
    const source = { kind: "logs", state: "running", breaker: "closed", retryInSeconds: null, forSeconds: 71, errors: 0, lastError: null, subscribers: 3 };
    const sources = [
      { ...source, name: "deployments/build-2/logs", state: "broken", breaker: "open", retryInSeconds: 12, lastError: odd, errors: 9 },
      { ...source, name: "deployments/build-1/logs" },
    ];
    return { json: { sources, matched: 2, next: null } };
  }
  if (isGet && pathname === "/services/metrics/stream") return { stream: events([["metrics", metricsWith(odd)]]) };
  if (isGet && pathname.endsWith("/logs/stream")) {
    const line = { level: "info", message: odd, timestamp: NOW / 1_000 };
    return { stream: events([["log", line]]) };
  }
  if (method === "POST" && pathname === "/tokens/check") {
    const may = { publish: ["orders/*"], watch: ["*"], admin: false };
    return { json: { valid: true, reason: null, code: null, sub: odd, exp: 1_900_000_000, nbf: null, jti: "t-1", may } };
  }
  if (method === "POST" && pathname === "/tokens/revoke") return { json: { closed: 2 } };
  return undefined;
};
