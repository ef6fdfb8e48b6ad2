import { describe, expect, test } from "vitest";
import { bytesOf, cut, hear, meaning, pieces, ROWS, seeded } from "../kit/wire.ts";

describe.each(ROWS.map((row) => ({ ...row, title: `${row.row}: ${row.name}` })))("$title", (row) => {
  const bytes = bytesOf(row.wire);
  const expected = meaning(row);

  test("in one piece", () => expect(hear([bytes])).toEqual(expected));
  test("byte by byte", () => expect(hear(pieces(bytes, 1))).toEqual(expected));
  test("two bytes at a time", () => expect(hear(pieces(bytes, 2))).toEqual(expected));
  test("three bytes at a time", () => expect(hear(pieces(bytes, 3))).toEqual(expected));

  test("in random pieces", () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = seeded(seed);
      const cuts = Array.from({ length: 1 + Math.floor(random() * 8) }, random);
      expect(hear(cut(bytes, cuts)), `seed ${seed}`).toEqual(expected);
    }
  });

  test("without anybody for the comments", () => {
    for (const size of [1, 2, bytes.length]) {
      expect(hear(pieces(bytes, size), { comments: false })).toEqual({ ...expected, comments: [] });
    }
  });
});
