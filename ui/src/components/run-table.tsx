// The columns of a table of runs, wherever runs are listed.
import type { Run } from "@/api/types";
import { duration } from "@/lib/format";
import { columnsFor } from "./data-table";
import { RunLink } from "./run-link";
import { RunProgressCell } from "./run-progress";
import { RunState } from "./run-state";
import { Ago, Elapsed } from "./time";

const column = columnsFor<Run>();

export const runColumns = [
  column.display({ id: "run", header: "Run", cell: ({ row }) => <RunLink run={row.original} /> }),
  column.display({ id: "state", header: "State", cell: ({ row }) => <RunState run={row.original} /> }),
  column.display({ id: "revision", header: "Revision", meta: { from: "sm" }, cell: ({ row }) => `r${row.original.revision}` }),
  column.display({
    id: "progress",
    header: "Items",
    meta: { from: "md" },
    cell: ({ row }) => <RunProgressCell run={row.original} />,
  }),
  column.display({
    id: "elapsed",
    header: "Elapsed",
    meta: { align: "right", className: "whitespace-nowrap" },
    cell: ({ row: { original: run } }) => (
      <span title={run.usual_duration_s === null ? undefined : `usual ${duration(run.usual_duration_s)}`}>
        <Elapsed from={run.started_at} to={run.ended_at} />
      </span>
    ),
  }),
  column.display({
    id: "why",
    header: "What happened",
    meta: { from: "lg" },
    cell: ({ row: { original: run } }) =>
      run.failure || run.message ? (
        <span className="line-clamp-1 text-ink2" title={run.failure?.message ?? run.message ?? undefined}>
          {run.failure?.stage ? <b className="font-[560] text-ink">{run.failure.stage}: </b> : null}
          {run.failure?.message ?? run.message}
        </span>
      ) : null,
  }),
  column.display({
    id: "by",
    header: "Started by",
    meta: { from: "lg", className: "whitespace-nowrap" },
    cell: ({ row }) => row.original.created_by ?? "–",
  }),
  column.display({
    id: "at",
    header: "Created",
    meta: { align: "right", from: "sm", className: "whitespace-nowrap" },
    cell: ({ row }) => <Ago at={row.original.created_at} className="text-ink2" />,
  }),
];
