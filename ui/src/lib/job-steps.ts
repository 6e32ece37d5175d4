// A job's steps beside those of its plan: what each is at, and what it waits for or went wrong in it. Pure.
import type { JobDetail, JobStep, PlanStep } from "@/api/types";

export interface StepRow {
  step: JobStep;
  planned: PlanStep | null;
  /** What the step waits for, or that it is being taken back. */
  note: string | null;
  error: string | null;
}

/** The plan has the same steps by name; a step that is asked for twice stands in its place. */
export function stepRows(job: Pick<JobDetail, "steps" | "plan" | "waiting_for">): StepRow[] {
  return job.steps.map((step, i) => {
    const at = job.plan.steps[i];
    const planned = at?.name === step.name ? at : (job.plan.steps.find((each) => each.name === step.name) ?? null);
    return { step, planned, note: noteOf(step, job.waiting_for), error: step.error };
  });
}

function noteOf(step: JobStep, waitingFor: string | null): string | null {
  switch (step.state) {
    case "waiting":
      return step.error ? "is tried again" : waitingFor ? `waits for ${waitingFor}` : "waits";
    case "undoing":
      return step.error ? "is taken back; that went wrong and is tried again" : "is taken back";
    case "undone":
      return "was taken back";
    default:
      return null;
  }
}

/** What of a job that did not succeed is still in place. */
export function stillDone(job: Pick<JobDetail, "state" | "steps">): string[] {
  if (!["failed", "cancelled", "undone", "undoing"].includes(job.state)) return [];
  return job.steps.filter((step) => step.state === "succeeded").map((step) => step.title || step.name);
}
