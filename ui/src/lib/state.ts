// The one mapping from the API's state words to a tone. Colour never stands alone: the word goes with it.
// A word that is not known here is grey, never green.

import type { Job, PlanSummary, Run } from "@/api/types";

export type Tone = "ok" | "run" | "warn" | "bad" | "idle";

const TONES: Record<string, Tone> = {
  succeeded: "ok",
  healthy: "ok",
  published: "ok",
  active: "ok",
  ready: "ok",
  approved: "ok",
  done: "ok",
  applied: "ok",
  pass: "ok",
  open: "run",
  running: "run",
  progressing: "run",
  starting: "run",
  preparing: "run",
  draining: "run",
  finishing: "run",
  undoing: "run",
  waiting: "warn",
  degraded: "warn",
  in_review: "warn",
  stopping: "warn",
  paused: "warn",
  stale: "warn",
  expired: "warn",
  undone: "warn",
  denied: "bad",
  failed: "bad",
  error: "bad",
  rejected: "bad",
  missing: "bad",
  fail: "bad",
  unreachable: "bad",
};

export function toneOf(state: string): Tone {
  return Object.hasOwn(TONES, state) ? (TONES[state] ?? "idle") : "idle";
}

const WORDS: Record<string, string> = { in_review: "In review" };

export function wordOf(state: string): string {
  const known = WORDS[state];
  if (known) return known;
  const spaced = state.replaceAll("_", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

export const RUN_STATES = ["queued", "running", "succeeded", "failed", "stopped"] as const satisfies readonly Run["state"][];
export const JOB_STATES = ["queued", "running", "waiting", "succeeded", "failed", "cancelled", "undoing", "undone"] as const satisfies readonly Job["state"][];

export const PLAN_STATES = ["open", "approved", "applied", "rejected", "stale", "expired"] as const satisfies readonly PlanSummary["state"][];

export function isRunOver(state: string): boolean {
  return state === "succeeded" || state === "failed" || state === "stopped";
}

export function isJobOver(state: string): boolean {
  return state === "succeeded" || state === "failed" || state === "cancelled" || state === "undone";
}

interface Shown {
  state: string;
  stop_requested_at?: string | null;
  engine_detail?: Run["engine_detail"];
}

/** Why nothing is known of a run now, and since when; null where its engine answers, and of a run that is over. */
export function doubtOf(run: Shown): { since: string; reason: string } | null {
  const observation = isRunOver(run.state) ? undefined : run.engine_detail?.observation;
  return observation?.state === "unknown" ? observation : null;
}

/**
 * A run of which nothing is known is never shown as what it was last; one that was asked to stop but has not ended is shown as
 * stopping. The API has neither as a state of its own.
 */
export function shownRunState(run: Shown): string {
  if (doubtOf(run)) return "unknown";
  return run.stop_requested_at && !isRunOver(run.state) ? "stopping" : run.state;
}
