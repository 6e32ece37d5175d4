import { expect, it } from "vitest";
import { changesBetween, partsOf, pointerOf } from "./diff";

it("lists changes by pointer, in a stable order", () => {
  const before = { b: 1, a: { x: [1, 2] }, gone: true };
  const after = { a: { x: [1, 3, 4] }, b: 1, "new/key~": null };
  expect(changesBetween(before, after)).toEqual([
    { pointer: "/a/x/1", op: "replace", before: 2, after: 3 },
    { pointer: "/a/x/2", op: "add", after: 4 },
    { pointer: "/gone", op: "remove", before: true },
    { pointer: "/new~1key~0", op: "add", after: null },
  ]);
  expect(changesBetween(before, before)).toEqual([]);
});

it("tells a changed type from an equal value", () => {
  expect(changesBetween({ a: 1 }, { a: "1" })).toHaveLength(1);
  expect(changesBetween({ a: [] }, { a: {} })).toHaveLength(1);
  expect(changesBetween({ a: null }, { a: null })).toEqual([]);
});

it("goes from a pointer to its parts and back", () => {
  expect(partsOf("/stages/4/uses")).toEqual(["stages", "4", "uses"]);
  expect(partsOf("")).toEqual([]);
  expect(partsOf(pointerOf(["a/b", "c~d"]))).toEqual(["a/b", "c~d"]);
});
