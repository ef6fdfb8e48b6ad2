import { describe, expect, test } from "vitest";
import { cut, hear, hearUntilLimit, join, pieces, ROWS, seeded } from "../kit/wire.ts";

describe.each(ROWS)("the shared table of what a stream means: $name", ({ chunks, heard, isTooLarge, maxEventBytes }) => {
  const bytes = join(chunks);
  const expected = { heard, isTooLarge };
  const told = (pieces: Iterable<Uint8Array>): unknown => hearUntilLimit(pieces, maxEventBytes);

  test("in the pieces of the table", () => expect(told(chunks)).toEqual(expected));
  test("in one piece", () => expect(told([bytes])).toEqual(expected));
  // A megabyte in single bytes would tell no more than a few kilobytes do.
  const sizes = bytes.length < 100_000 ? [1, 2, 3] : [1_021];
  test.each(sizes)("in pieces of %d", (size) => expect(told(pieces(bytes, size))).toEqual(expected));

  test("in random pieces", () => {
    for (let seed = 0; seed < (bytes.length < 100_000 ? 50 : 5); seed++) {
      const random = seeded(seed);
      const cuts = Array.from({ length: 1 + Math.floor(random() * 8) }, random);
      expect(told(cut(bytes, cuts)), `seed ${seed}`).toEqual(expected);
    }
  });

  test.skipIf(isTooLarge)("without anybody for the comments", () => {
    for (const size of [1_021, bytes.length]) {
      expect(hear(pieces(bytes, size), { comments: false, maxEventBytes })).toEqual({ ...heard, comments: [] });
    }
  });
});
