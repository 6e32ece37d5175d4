import { describe, expect, it } from "vitest";
import { doubtOf, isJobOver, isRunOver, JOB_STATES, PLAN_STATES, RUN_STATES, shownRunState, toneOf, wordOf } from "./state";

describe("state", () => {
  it("has a tone for each run, job and plan state", () => {
    expect(RUN_STATES.map(toneOf)).toEqual(["idle", "run", "ok", "bad", "idle"]);
    expect(JOB_STATES.map(toneOf)).toEqual(["idle", "run", "warn", "ok", "bad", "idle", "run", "warn"]);
    expect(PLAN_STATES.map(toneOf)).toEqual(["run", "ok", "ok", "bad", "warn", "warn"]);
  });

  it("is grey where the word is not known, never green", () => {
    for (const word of ["unknown", "", "sparkling", "constructor", "toString"]) expect(toneOf(word)).toBe("idle");
  });

  it("is written as a word", () => {
    expect(wordOf("in_review")).toBe("In review");
    expect(wordOf("version_mismatch")).toBe("Version mismatch");
  });

  it("shows a run that was asked to stop as stopping, until it has ended", () => {
    expect(shownRunState({ state: "running", stop_requested_at: "2026-11-20T12:00:00Z" })).toBe("stopping");
    expect(shownRunState({ state: "stopped", stop_requested_at: "2026-11-20T12:00:00Z" })).toBe("stopped");
    expect(shownRunState({ state: "running", stop_requested_at: null })).toBe("running");
  });

  it("shows a run of which nothing is known as unknown, until it has ended", () => {
    const engine_detail = { observation: { state: "unknown", since: "2026-11-20T12:00:00Z", reason: "its head is silent" } };
    for (const state of ["queued", "running"]) {
      const run = { state, stop_requested_at: "2026-11-20T12:00:00Z", engine_detail };
      expect(toneOf(shownRunState(run))).toBe("idle");
      expect([shownRunState(run), doubtOf(run)?.reason]).toEqual(["unknown", "its head is silent"]);
    }
    expect([shownRunState({ state: "failed", engine_detail }), doubtOf({ state: "failed", engine_detail })]).toEqual(["failed", null]);
    expect(shownRunState({ state: "running", engine_detail: { ray: "2.60.0" } })).toBe("running");
  });

  it("knows what is over", () => {
    expect(RUN_STATES.filter(isRunOver)).toEqual(["succeeded", "failed", "stopped"]);
    expect(JOB_STATES.filter(isJobOver)).toEqual(["succeeded", "failed", "cancelled", "undone"]);
  });
});
