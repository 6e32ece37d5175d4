// What a deletion takes away, read from its plan: one step counts it.
import type { Plan } from "@/api/types";
import { bytes, count } from "./format";

const LABELS: Record<string, string> = { active_runs: "Runs under way", log_bytes: "Logs", roles_held: "Roles held" };

export function goneOf(plan: Plan): { label: string; value: string; some: boolean }[] {
  const counted = plan.steps.flatMap((step) => step.changes).find((change) => change.op === "remove")?.before;
  if (!counted || typeof counted !== "object" || Array.isArray(counted)) return [];
  return Object.entries(counted)
    .filter((entry): entry is [string, number] => typeof entry[1] === "number")
    .map(([key, value]) => ({ label: LABELS[key] ?? labelOf(key), value: key.endsWith("_bytes") ? bytes(value) : count(value), some: value > 0 }));
}

function labelOf(key: string): string {
  const words = key.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
