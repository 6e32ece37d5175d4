// Recent runs × stages: one column a run (a link), one square a stage. Every square also says its state in words.
import { Link } from "@tanstack/react-router";
import type { Run } from "@/api/types";
import { Tooltip } from "@/components/ui/tooltip";
import { cn } from "@/lib/cn";
import { toneOf, wordOf } from "@/lib/state";
import { gridOf, type SquareState } from "./run-grid-model";
import { Ago } from "./time";

const SQUARE: Record<SquareState, string> = {
  succeeded: "bg-ok-solid",
  failed: "bg-bad",
  running: "bg-run motion-safe:animate-pulse-slow",
  stopped: "bg-idle/60",
  pending: "bg-idle-solid",
  skipped: "bg-idle-solid",
};

export function RunSquares({ of, runs }: { of: string; runs: readonly { id: string; number: number; state: string }[] }) {
  return (
    <span className="flex items-center gap-[3px]">
      {runs.map((run) => (
        <Link
          key={run.id}
          to="/runs/$run"
          params={{ run: run.id }}
          search={{}}
          title={`${of}#${run.number} ${run.state}`}
          aria-label={`${of}#${run.number}, ${run.state}`}
          className="-my-2 py-2"
        >
          <span className={cn("block h-3.5 w-2 rounded-[2px]", SQUARE[squareOf(run.state)])} />
        </Link>
      ))}
    </span>
  );
}

/** How many columns a narrow screen has room for. */
const NARROW = 18;

function squareOf(state: string): SquareState {
  return state === "succeeded" || state === "failed" || state === "running" || state === "stopped" ? state : "pending";
}

export function RunGrid({ runs, stages, columns = 24 }: { runs: readonly Run[]; stages: { id: string; name: string }[]; columns?: number }) {
  const grid = gridOf(runs, stages, columns);
  return (
    <div className="overflow-x-auto px-3.5 py-3">
      <div className="flex gap-[3px]">
        <div className="sticky left-0 z-1 mr-2 flex min-w-24 max-sm:min-w-16 flex-col gap-[3px] bg-panel pr-1" aria-hidden>
          {grid.rows.map((row) => (
            <span key={row.id} className="h-4 max-w-40 truncate text-xs leading-4 text-ink2">
              {row.name}
            </span>
          ))}
        </div>
        <span aria-hidden className="flex-1" />
        {Array.from({ length: Math.max(0, columns - grid.columns.length) }, (_, i) => (
          <span key={i} aria-hidden className="max-w-6 min-w-2 flex-1 max-sm:hidden" />
        ))}
        {grid.columns.map(({ run, squares }, at) => (
          <Tooltip
            key={run.id}
            content={
              <div className="space-y-1">
                <div className="font-[560]">
                  {run.ref} <span className="font-normal text-ink2">r{run.revision} · {wordOf(run.state)} · <Ago at={run.created_at} /></span>
                </div>
                {run.failure ? (
                  <div className="text-bad">
                    {run.failure.stage ? `${run.failure.stage}: ` : ""}
                    {run.failure.message}
                  </div>
                ) : null}
                {grid.rows.map((row, i) => (
                  <div key={row.id} className="flex justify-between gap-4 text-ink2">
                    <span>{row.name}</span>
                    <span>{wordOf(squares[i] ?? "pending")}</span>
                  </div>
                ))}
              </div>
            }
          >
            <Link
              to="/runs/$run"
              params={{ run: run.id }}
              search={{}}
              aria-label={`${run.ref}, ${run.state}: ${grid.rows.map((row, i) => `${row.name} ${squares[i]}`).join(", ")}`}
              className={cn(
                "flex max-w-6 min-w-2 flex-1 flex-col gap-[3px] hover:opacity-75",
                at < grid.columns.length - NARROW && "max-sm:hidden",
              )}
              data-tone={toneOf(run.state)}
            >
              {squares.map((square, i) => (
                <span key={i} className={cn("h-4 rounded-[3px]", SQUARE[square])} />
              ))}
            </Link>
          </Tooltip>
        ))}
      </div>
    </div>
  );
}
