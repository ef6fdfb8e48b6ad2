interface Sample {
  readonly at: number;
  readonly published?: number;
  readonly delivered?: number;
  readonly pid?: number;
  readonly uptime?: number;
  readonly wrong?: boolean;
}

/** An event of `/stats/stream`, as the hub writes it. */
export function sampleOf({ at, published = 0, delivered = 0, pid = 7, uptime = at / 1_000, wrong = false }: Sample) {
  const mib = 1024 * 1024;
  return {
    at,
    memoryUsageMB: 120,
    totalSessions: 2_000,
    totalEvents: 40_000,
    totalSubscribers: 10_000,
    metrics: { eventsPublished: published, eventsDelivered: delivered, gaps: 3, connectionsRefused: 1 },
    latency: { delivery: { p50Ms: 0.8, p99Ms: 12.5 }, publish: { p50Ms: 7, p99Ms: 70 } },
    gapsByReason: { expired: 1, evicted: 0, lagged: 2, epoch: 0, unknown_id: 0, source: 0 },
    closesByReason: { SLOW_CONSUMER: 2, PEER_CLOSED: 40, TIMEOUT: 0 },
    refusalsByReason: { TOO_MANY_CONNECTIONS: 1 },
    ledger: {
      subscription: { opened: 10_042, closed: 42, live: wrong ? 9_999 : 10_000 },
      session: { opened: 2_000, closed: 0, live: 2_000 },
    },
    budget: {
      usedBytes: 120 * mib,
      observedBytes: 100 * mib,
      warningBytes: 400 * mib,
      criticalBytes: 500 * mib,
      level: "normal",
      owners: { history: 90 * mib, connections: 30 * mib },
    },
    process: { pid, uptimeSeconds: uptime, version: "0.1.0" },
  };
}
