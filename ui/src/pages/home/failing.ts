// What is failing: resources whose newest finished run failed, within a day. A failure that a later run has
// made good is history, not news.
import type { Run } from "@/api/types";
import { isRunOver } from "@/lib/state";

const WINDOW_MS = 24 * 3600 * 1000;
const LIMIT = 6;

export function failingOf(runs: readonly Run[], now: number): Run[] {
  const newest = new Map<string, Run>();
  for (const run of runs) {
    if (!isRunOver(run.state) || run.state === "stopped") continue;
    const held = newest.get(run.resource.id);
    if (!held || run.number > held.number) newest.set(run.resource.id, run);
  }
  return [...newest.values()]
    .filter((run) => run.state === "failed" && now - Date.parse(run.ended_at ?? run.created_at) < WINDOW_MS)
    .sort((a, b) => Date.parse(b.ended_at ?? b.created_at) - Date.parse(a.ended_at ?? a.created_at))
    .slice(0, LIMIT);
}
