import { expect, it } from "vitest";
import type { JobStep, PlanStep } from "@/api/types";
import { stepRows, stillDone } from "./job-steps";

const step = (name: string, state: JobStep["state"], more: Partial<JobStep> = {}): JobStep => ({
  name, title: `Do ${name}`, state, attempts: 1, started_at: null, ended_at: null, output: null, error: null, ...more,
});
const planned = (name: string): PlanStep => ({ name, title: name, target: "pipelines/a", changes: [], risk: "low" });
const plan = { operation: "x", input_hash: "", steps: [planned("a"), planned("b")], gates: [], preconditions: [], postconditions: [], affected: [], locks: [] };

it("puts each step beside its part of the plan", () => {
  const rows = stepRows({ steps: [step("a", "succeeded"), step("b", "waiting")], plan, waiting_for: "the tide" });
  expect(rows.map((row) => [row.planned?.name, row.note])).toEqual([["a", null], ["b", "waits for the tide"]]);
});

it("takes a step that the plan does not know as it is", () => {
  expect(stepRows({ steps: [step("z", "running")], plan, waiting_for: null })[0]?.planned).toBeNull();
});

it("tells a step that is tried again from one that waits", () => {
  const [row] = stepRows({ steps: [step("a", "waiting", { error: "the world is away" })], plan, waiting_for: "another try" });
  expect([row?.note, row?.error]).toEqual(["is tried again", "the world is away"]);
});

it("says what is left only of what did not succeed", () => {
  const steps = [step("a", "succeeded"), step("b", "failed")];
  expect(stillDone({ state: "failed", steps })).toEqual(["Do a"]);
  expect(stillDone({ state: "running", steps })).toEqual([]);
  expect(stillDone({ state: "undone", steps: [step("a", "undone")] })).toEqual([]);
});
