import { expect, it } from "vitest";
import type { Plan } from "@/api/types";
import { goneOf } from "./deletion";

it("says what a deletion takes away, with units", () => {
  const counts = { resources: 1204, active_runs: 0, log_bytes: 15_000_000, api_keys: 2 };
  const plan = { steps: [{ changes: [] }, { changes: [{ op: "remove", pointer: "", before: counts }] }] } as unknown as Plan;
  expect(goneOf(plan)).toEqual([
    { label: "Resources", value: "1,204", some: true },
    { label: "Runs under way", value: "0", some: false },
    { label: "Logs", value: "15.0 MB", some: true },
    { label: "Api keys", value: "2", some: true },
  ]);
  expect(goneOf({ steps: [] } as unknown as Plan)).toEqual([]);
});
