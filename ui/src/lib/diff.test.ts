import { expect, it } from "vitest";
import type { JsonSchema } from "@/api/types";
import { changesBetween, partsOf, pointerOf, writtenLike } from "./diff";

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

it("takes a default that a revision has written out for no difference, at any depth", () => {
  const schema: JsonSchema = {
    properties: {
      mode: { type: "string", default: "streaming" },
      links: { type: "object", default: { models: [] } },
      parts: { type: "array", items: { $ref: "#/$defs/Part" } },
      limit: { anyOf: [{ type: "object", properties: { cpus: { type: "number", default: 0 } } }, { type: "null" }] },
    },
    $defs: { Part: { type: "object", properties: { count: { type: "integer", default: 1 }, name: { type: "string" } } } },
  };
  const revision = { mode: "streaming", links: { models: [] }, parts: [{ name: "wheel", count: 1 }], limit: { cpus: 0 } };
  const typed = { parts: [{ name: "wheel" }], limit: {} };
  expect(JSON.stringify(writtenLike(typed, revision, schema, schema))).toBe(JSON.stringify(revision));
  const changed = writtenLike({ parts: [{ name: "wheel", count: 4 }, { name: "axle" }] }, { ...revision, mode: "batch" }, schema, schema);
  expect(changesBetween({ ...revision, mode: "batch" }, changed).map((change) => `${change.op} ${change.pointer}`)).toEqual([
    "remove /limit",
    "remove /mode",
    "replace /parts/0/count",
    "add /parts/1",
  ]);
});
