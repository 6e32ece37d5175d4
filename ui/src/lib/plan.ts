// What a plan says in short: the line above its steps, and where its targets lead. Pure.
import type { Plan, Preview } from "@/api/types";
import { plural } from "./format";

export type Risk = Plan["steps"][number]["risk"];

const ORDER: Record<Risk, number> = { low: 0, medium: 1, high: 2 };

/** The highest of its steps. */
export function riskOf(plan: Plan): Risk {
  return plan.steps.reduce<Risk>((most, step) => (ORDER[step.risk] > ORDER[most] ? step.risk : most), "low");
}

/** One that could not be looked at is not open. */
export function closedGates(plan: Plan): Plan["gates"] {
  return plan.gates.filter((gate) => gate.state !== "pass");
}

/** `2 steps, medium risk, 1 gate passes` */
export function summaryOf(plan: Plan): string {
  if (plan.steps.length === 0) return "nothing to do";
  const closed = closedGates(plan).length;
  const open = plan.gates.length - closed;
  const gates = closed > 0 ? `${plural(closed, "gate")} closed` : open > 0 ? `${plural(open, "gate passes", "gates pass")}` : "";
  return [plural(plan.steps.length, "step"), `${riskOf(plan)} risk`, gates].filter(Boolean).join(", ");
}

/** Why a change would be refused as it is: one that wants a second person, or one with a closed gate. */
export function refusalOf(preview: Preview): string | null {
  if (preview.needs_approval) return "It wants a second person: keep it as a plan, and have it approved.";
  const closed = closedGates(preview.plan);
  return closed.length > 0 ? `It would be refused: ${closed.map((gate) => gate.name).join(", ")} ${closed.length === 1 ? "is" : "are"} closed.` : null;
}

const HASH = /sha256:[0-9a-f]{64}/g;

/** What was looked at, for a person: objects by their fields, what moved from what to what, long hashes by their ends. */
export function factText(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "nothing" : value.map(factText).join(", ");
  if (typeof value === "string") return value.replace(HASH, (hash) => `${hash.slice(0, 13)}…${hash.slice(-4)}`);
  if (typeof value !== "object") return JSON.stringify(value);
  const fields = Object.entries(value);
  const moved = value as { from?: unknown; to?: unknown };
  if (fields.length === 2 && "from" in value && "to" in value) return `from ${factText(moved.from)} to ${factText(moved.to)}`;
  return fields.map(([key, field]) => `${key.replaceAll("_", " ")} ${factText(field)}`).join(", ");
}

export type Target = { run: string } | { plural: string; name: string } | null;

/** Where a step's target is shown: `pipelines/curate`, `runs/curate#42`. */
export function targetOf(text: string, plurals: readonly string[]): Target {
  const slash = text.indexOf("/");
  const [family, name] = [text.slice(0, slash), text.slice(slash + 1)];
  if (slash < 1 || !name) return null;
  if (family === "runs") return { run: name };
  return plurals.includes(family) ? { plural: family, name } : null;
}
