import { expect, it } from "vitest";
import { StreamCursor } from "./cursor";

it("passes each event once, in order, over a resume that repeats some", () => {
  const cursor = new StreamCursor();
  const seen = [5, 6, 7, 6, 7, 8, 8, 9].filter((pos) => cursor.acceptEvent(pos));
  expect(seen).toEqual([5, 6, 7, 8, 9]);
  expect(cursor.position).toBe(9);
});

it("counts the lines of each run apart", () => {
  const cursor = new StreamCursor();
  expect(cursor.lineAfter("a")).toBe(0);
  expect([1, 2, 2, 3].filter((n) => cursor.acceptLine("a", n))).toEqual([1, 2, 3]);
  expect(cursor.acceptLine("b", 1)).toBe(true);
  expect(cursor.lineAfter("a")).toBe(3);
});

it("goes back for a page that holds less than was read, never forward", () => {
  const cursor = new StreamCursor();
  expect(cursor.rewind("a", 10)).toBe(false);
  expect(cursor.acceptLine("a", 10)).toBe(false);
  expect(cursor.acceptLine("a", 11)).toBe(true);
  expect(cursor.rewind("a", 40)).toBe(false);
  expect(cursor.lineAfter("a")).toBe(11);
  expect(cursor.rewind("a", 4)).toBe(true);
  expect(cursor.acceptLine("a", 5)).toBe(true);
});
