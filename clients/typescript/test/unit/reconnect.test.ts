import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { refusal } from "../../src/answer.ts";
import { createFallback, type Ended, type Way } from "../../src/fallback.ts";
import { SSEError } from "../../src/errors.ts";
import { judge, mayRefresh } from "../../src/verdict.ts";

interface Step {
  at: number;
  happened: "streamFailed" | "streamWorked" | "pollAnswered" | "pollFailed" | "pollNotUnderstood";
  isHeldBack: boolean;
  hasRetryAfter: boolean;
  next: Way;
  isAtOnce: boolean;
  isPolling: boolean;
}

interface Cases {
  fallback: { name: string; isEnabled: boolean; steps: Step[] }[];
  refusals: { status: number; canRefresh: boolean; way: Way; follows: string }[];
}

// The table that the Rust client is held to as well.
const cases = JSON.parse(readFileSync(new URL("../../../cases/reconnect-cases.json", import.meta.url), "utf8")) as Cases;

/** How an attempt ended of which the table says that this happened. */
function ended({ happened, isHeldBack, hasRetryAfter }: Step): Ended {
  const failure = { kind: isHeldBack ? "timeout" : "network", retryable: true, retryAfter: hasRetryAfter ? 1_000 : undefined } as const;
  switch (happened) {
    case "streamFailed":
      return { way: "stream", hasStreamed: false, failure };
    case "streamWorked":
      return { way: "stream", hasStreamed: true, failure };
    case "pollAnswered":
      return { way: "poll", hasStreamed: false, failure: undefined };
    case "pollFailed":
      return { way: "poll", hasStreamed: false, failure };
    case "pollNotUnderstood":
      return { way: "poll", hasStreamed: false, failure: { ...failure, kind: "protocol", retryable: false } };
  }
}

describe("the shared table of what follows an attempt", () => {
  test.each(cases.fallback)("$name", ({ isEnabled, steps }) => {
    const fallback = createFallback({ enablePollingFallback: isEnabled });
    for (const [number, step] of steps.entries()) {
      const next = fallback.after(ended(step), step.at);
      expect({ ...next, isPolling: fallback.isPolling }, `step ${number}: ${step.happened} at ${step.at}`).toEqual({
        way: step.next,
        isAtOnce: step.isAtOnce,
        isPolling: step.isPolling,
      });
      expect(fallback.way).toBe(step.next);
    }
  });

  test.each(cases.refusals)("$status to a $way, refreshable $canRefresh: $follows", ({ status, canRefresh, way, follows }) => {
    const error = refusal(new Response(null, { status }), "", 0);
    const isRefreshed = mayRefresh({ token: canRefresh ? () => "t" : "t" }, status);
    const end = judge(error, way, 0);
    expect(isRefreshed ? "refresh" : end ? "failed" : "again").toBe(follows);
    if (!isRefreshed && end) expect(end).toBe(error);
  });

  test.each([
    [0, 0, true],
    [2, 3, false],
    [3, 3, true],
    [1_000, Infinity, false],
    [1_000, undefined, false],
  ])("after %d failures of %d that are allowed it is over: %s", (failures, maxRetries, isOver) => {
    const failure = new SSEError("network", "gone");
    const end = judge(failure, "stream", failures, maxRetries);
    if (isOver) expect(end).toMatchObject({ kind: "exhausted", cause: failure, retryable: false });
    else expect(end).toBeUndefined();
  });
});
