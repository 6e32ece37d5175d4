import { expect, it } from "vitest";
import { isLimit, limitsFrom } from "./quotas";

it("takes whole numbers, and nothing for no limit", () => {
  expect(limitsFrom({ resources: "", active_runs: "5", log_bytes: "10 000_000" })).toEqual({ resources: null, active_runs: 5, log_bytes: 10_000_000 });
  expect(limitsFrom({ resources: "0", active_runs: "", log_bytes: "" })).toEqual({ resources: 0, active_runs: null, log_bytes: null });
  for (const text of ["five", "-1", "1.5", "1e3"]) {
    expect(isLimit(text), text).toBe(false);
    expect(limitsFrom({ resources: text, active_runs: "", log_bytes: "" }), text).toBeNull();
  }
});
