import { expect, it } from "vitest";
import type { Plan } from "@/api/types";
import { closedGates, factText, riskOf, summaryOf, targetOf } from "./plan";

const step = (risk: "low" | "medium" | "high") => ({ name: risk, title: risk, target: "pipelines/a", changes: [], risk });
const plan = (more: Partial<Plan>): Plan => ({
  operation: "x", input_hash: "", steps: [step("low"), step("medium")], gates: [], preconditions: [], postconditions: [], affected: [], locks: [], ...more,
});

it("has the highest risk of its steps", () => {
  expect(riskOf(plan({}))).toBe("medium");
  expect(riskOf(plan({ steps: [step("high"), step("low")] }))).toBe("high");
  expect(riskOf(plan({ steps: [] }))).toBe("low");
});

it("counts a gate that could not be looked at as closed", () => {
  const gates: Plan["gates"] = [{ name: "a", state: "pass", evidence: "" }, { name: "b", state: "unknown", evidence: "" }, { name: "c", state: "fail", evidence: "" }];
  expect(closedGates(plan({ gates })).map((gate) => gate.name)).toEqual(["b", "c"]);
  expect(summaryOf(plan({ gates }))).toBe("2 steps, medium risk, 2 gates closed");
});

it("says itself in one line", () => {
  expect(summaryOf(plan({ gates: [{ name: "spec", state: "pass", evidence: "" }] }))).toBe("2 steps, medium risk, 1 gate passes");
  expect(summaryOf(plan({}))).toBe("2 steps, medium risk");
  expect(summaryOf(plan({ steps: [] }))).toBe("nothing to do");
});

it("links what has a page", () => {
  expect(targetOf("pipelines/a", ["pipelines"])).toEqual({ plural: "pipelines", name: "a" });
  expect(targetOf("runs/a#4", ["pipelines"])).toEqual({ run: "a#4" });
  expect(targetOf("tracks/7", ["pipelines"])).toBeNull();
  expect(targetOf("test", ["pipelines"])).toBeNull();
});

it("reads what was looked at as a person would say it", () => {
  const hash = `sha256:${"ab".repeat(32)}`;
  expect(factText({ state: "draft", spec_hash: hash })).toBe("state draft, spec hash sha256:ababab…abab");
  expect(factText({ from: 1, to: null })).toBe("from 1 to nothing");
  expect([factText(null), factText([]), factText(["a", "b"]), factText(true)]).toEqual(["nothing", "nothing", "a, b", "true"]);
});
