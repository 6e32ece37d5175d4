import { expect, it } from "vitest";
import type { Change } from "@/api/types";
import { byField } from "./changes";

it("says field by field what was made as a whole, without what is empty", () => {
  const after = { name: "quiet", labels: {}, tags: ["a", "b"], owners: [], note: "", stages: [{ id: "load" }], "a/b": 1 };
  const made: Change = { op: "add", pointer: "/metadata", after };
  expect(byField([made]).map(({ pointer, after: value }) => [pointer, value])).toEqual([
    ["/metadata/name", "quiet"],
    ["/metadata/tags", ["a", "b"]],
    ["/metadata/stages/0/id", "load"],
    ["/metadata/a~1b", 1],
  ]);
});

it("leaves alone what is one value, what was changed, and what is too much", () => {
  const changes: Change[] = [
    { op: "remove", pointer: "/size", before: 3 },
    { op: "replace", pointer: "/sharing", before: { ann: "viewer" }, after: { ann: "editor" } },
    { op: "add", pointer: "/many", after: Object.fromEntries(Array.from({ length: 25 }, (_, i) => [`k${i}`, i])) },
  ];
  expect(byField(changes)).toEqual(changes);
});
