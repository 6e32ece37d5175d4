// What each square of the grid says: the state of one stage in one run, newest run last.
import type { Run } from "@/api/types";
import { isRunOver } from "@/lib/state";

export type SquareState = "succeeded" | "failed" | "running" | "stopped" | "pending" | "skipped";

export interface Grid {
  rows: { id: string; name: string }[];
  columns: { run: Run; squares: SquareState[] }[];
}

export function gridOf(runs: readonly Run[], stages: { id: string; name: string }[], columns: number): Grid {
  const shown = [...runs].sort((a, b) => b.number - a.number).slice(0, columns).reverse();
  const rows = stages.length > 0 ? stages : stagesOf(shown);
  if (rows.length === 0) {
    return {
      rows: [{ id: "", name: "Run" }],
      columns: shown.map((run) => ({ run, squares: [run.state === "queued" ? "pending" : run.state] })),
    };
  }
  return { rows, columns: shown.map((run) => ({ run, squares: rows.map((row) => squareOf(run, row.id)) })) };
}

function stagesOf(runs: readonly Run[]): { id: string; name: string }[] {
  const newest = runs.findLast((run) => run.progress && run.progress.stages.length > 0);
  return newest?.progress?.stages.map(({ id, name }) => ({ id, name: name || id })) ?? [];
}

export function squareOf(run: Run, stage: string): SquareState {
  if (run.failure?.stage === stage) return "failed";
  const known = run.progress?.stages.find((each) => each.id === stage);
  if (!known) return run.state === "succeeded" ? "succeeded" : "skipped";
  if (known.state === "running" && isRunOver(run.state)) return run.state === "succeeded" ? "succeeded" : "stopped";
  return known.state;
}
