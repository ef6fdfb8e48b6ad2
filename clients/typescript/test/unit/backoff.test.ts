import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createBackoff, type Backoff } from "../../src/backoff.ts";
import { RETRY_AFTER_MAX, RETRY_BASE, RETRY_MAX, RETRY_MIN } from "../../src/limits.ts";

const backoffOf = (retryDelay?: number, maxRetryDelay?: number, random?: () => number): Backoff =>
  createBackoff({ retryDelay, maxRetryDelay, random });
const share = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const anyDelay = fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.constantFrom(0, 1, 1e12, Number("9".repeat(30)), Infinity));

describe("the schedule", () => {
  test("no delay lies under the floor or over the ceiling, whatever is configured and told", () => {
    fc.assert(
      fc.property(anyDelay, anyDelay, anyDelay, share, fc.integer({ min: 1, max: 60 }), (base, max, told, random, failures) => {
        const backoff = backoffOf(base, max, () => random);
        backoff.retry = told;
        for (let failure = 0; failure < failures; failure++) {
          const delay = backoff.next();
          expect(delay).toBeGreaterThanOrEqual(RETRY_MIN);
          expect(delay).toBeLessThanOrEqual(Math.max(max, RETRY_MIN));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("every delay is one that a timer takes, even without a ceiling", () => {
    for (const told of [0, 1_000, 1e12, Number("9".repeat(30)), Infinity]) {
      const backoff = backoffOf(1_000, Infinity, () => 0.999);
      backoff.retry = told;
      for (let failure = 0; failure < 50; failure++) expect(backoff.next()).toBeLessThan(2 ** 31);
    }
  });

  test("ceilings double from the base on, and stop at the maximum", () => {
    const backoff = backoffOf(1_000, 30_000, () => 1);
    expect(Array.from({ length: 8 }, () => backoff.next())).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(backoff.failures).toBe(8);
  });

  test("a thousand failures in a row change nothing more", () => {
    const backoff = backoffOf(undefined, undefined, () => 1);
    for (let failure = 0; failure < 1_000; failure++) backoff.next();
    expect(backoff.next()).toBe(RETRY_MAX);
  });

  test("after a success the schedule begins anew, but never with no delay at all", () => {
    const backoff = backoffOf(1_000, 30_000, () => 0);
    for (let failure = 0; failure < 10; failure++) backoff.next();
    backoff.failures = 0;
    expect(backoff.next()).toBe(RETRY_MIN);
  });

  test("clients that were cut off at once come back spread evenly", () => {
    const tenths = new Array<number>(10).fill(0);
    for (let client = 0; client < 10_000; client++) {
      const delay = backoffOf(RETRY_BASE, RETRY_MAX).next();
      const tenth = Math.floor(((delay - RETRY_MIN) / (RETRY_BASE - RETRY_MIN)) * 10);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    expect(tenths).toHaveLength(10);
    // 1,000 each; a bound of ten standard deviations.
    for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(300);
  });
});

describe("28, 29: retry: is a base, clamped at both ends", () => {
  test.each([
    [0, RETRY_MIN],
    [1, RETRY_MIN],
    [5_000, 5_000],
    [99_999_999_999, RETRY_MAX],
    [Number("9".repeat(30)), RETRY_MAX],
    [Number("9".repeat(400)), RETRY_MAX],
  ])("%d gives %d at most at first", (told, most) => {
    const backoff = backoffOf(1_000, RETRY_MAX, () => 1);
    backoff.retry = told;
    expect(backoff.next()).toBe(most);
  });
});

describe("Retry-After", () => {
  test("is waited out in full, and not much longer", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: RETRY_AFTER_MAX }), share, fc.integer({ min: 0, max: 30 }), (told, random, failures) => {
        const backoff = backoffOf(1_000, 30_000, () => random);
        for (let failure = 0; failure < failures; failure++) backoff.next();
        const delay = backoff.next(told);
        expect(delay).toBeGreaterThanOrEqual(told);
        expect(delay).toBeGreaterThanOrEqual(RETRY_MIN);
        expect(delay).toBeLessThanOrEqual(Math.max(told, RETRY_MIN) + 1_000);
      }),
    );
  });

  test("of a year is a typing error", () => {
    const backoff = backoffOf(1_000, 30_000, () => 0);
    expect(backoff.next(365 * 24 * 3_600_000)).toBe(RETRY_AFTER_MAX);
  });

  test.each([NaN, -1, -1e12, 0, undefined])("of %d is none", (told) => {
    const backoff = backoffOf(1_000, 30_000, () => 0);
    expect(backoff.next(told)).toBe(RETRY_MIN);
  });
});
