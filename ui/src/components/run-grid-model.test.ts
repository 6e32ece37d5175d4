import { expect, it } from "vitest";
import type { Run } from "@/api/types";
import { gridOf, squareOf } from "./run-grid-model";

const run = (number: number, state: string, stages: [string, string][], failed: string | null = null) =>
  ({
    id: String(number),
    number,
    state,
    failure: failed ? { stage: failed } : null,
    progress: { stages: stages.map(([id, each]) => ({ id, name: id, state: each })) },
  }) as unknown as Run;

it("shows the newest runs, newest last", () => {
  const grid = gridOf([run(1, "succeeded", []), run(3, "running", [["a", "running"]]), run(2, "succeeded", [])], [], 2);
  expect(grid.columns.map((column) => column.run.number)).toEqual([2, 3]);
  expect(grid.rows).toEqual([{ id: "a", name: "a" }]);
});

it("has one row for runs of a kind without stages", () => {
  const grid = gridOf([run(1, "queued", []), run(2, "failed", [])], [], 5);
  expect(grid.columns.map((column) => column.squares)).toEqual([["pending"], ["failed"]]);
});

it("says of a stage what became of it, also when the run ended under it", () => {
  expect(squareOf(run(1, "failed", [["a", "running"]], "a"), "a")).toBe("failed");
  expect(squareOf(run(1, "stopped", [["a", "running"]]), "a")).toBe("stopped");
  expect(squareOf(run(1, "succeeded", [["a", "running"]]), "a")).toBe("succeeded");
  expect(squareOf(run(1, "failed", [["a", "succeeded"]], "b"), "c")).toBe("skipped");
});
