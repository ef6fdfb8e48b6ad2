import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { refusal } from "../../src/answer.ts";
import { Fallback, type Next, type Way } from "../../src/fallback.ts";
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

function follow(fallback: Fallback, step: Step): Next {
  switch (step.happened) {
    case "streamFailed":
      return fallback.streamFailed(
        { kind: step.isHeldBack ? "timeout" : "network", retryAfter: step.hasRetryAfter ? 1_000 : undefined },
        step.at,
      );
    case "streamWorked":
      return fallback.streamWorked();
    case "pollAnswered":
      return fallback.pollAnswered(step.at);
    case "pollFailed":
      return fallback.pollFailed();
    case "pollNotUnderstood":
      return fallback.pollNotUnderstood(step.at);
  }
}

describe("the shared table of what follows an attempt", () => {
  test.each(cases.fallback)("$name", ({ isEnabled, steps }) => {
    const fallback = new Fallback();
    fallback.isEnabled = isEnabled;
    for (const [number, step] of steps.entries()) {
      const next = follow(fallback, step);
      expect({ ...next, isPolling: fallback.isPolling }, `step ${number}: ${step.happened} at ${step.at}`).toEqual({
        way: step.next,
        isAtOnce: step.isAtOnce,
        isPolling: step.isPolling,
      });
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
