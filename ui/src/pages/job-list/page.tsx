import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { jobsQuery } from "@/api/queries";
import type { Job } from "@/api/types";
import { columnsFor, DataTable } from "@/components/data-table";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { Empty } from "@/components/situation";
import { State } from "@/components/state";
import { Ago, Elapsed } from "@/components/time";
import { Button } from "@/components/ui/button";
import { NativeSelect } from "@/components/ui/input";
import { usePluralOf } from "@/kinds/access";
import { JOB_STATES, wordOf } from "@/lib/state";

const column = columnsFor<Job>();

function OfLink({ job }: { job: Job }) {
  const plural = usePluralOf()(job.resource?.kind);
  if (!job.resource) return <span className="text-ink3">–</span>;
  return plural ? (
    <Link to="/$plural/$name" params={{ plural, name: job.resource.name }} search={{}} className="link">
      {job.resource.name}
    </Link>
  ) : (
    <>{job.resource.name}</>
  );
}

const columns = [
  column.display({
    id: "what",
    header: "Job",
    cell: ({ row: { original: job } }) => (
      <Link to="/jobs/$job" params={{ job: job.id }} className="link inline-flex items-center gap-2 whitespace-nowrap max-sm:min-h-11">
        {job.operation} <span className="mono text-ink3 max-sm:hidden">…{job.id.slice(-6)}</span>
      </Link>
    ),
  }),
  column.display({ id: "state", header: "State", cell: ({ row }) => <State state={row.original.state} /> }),
  column.display({ id: "of", header: "Of", cell: ({ row }) => <OfLink job={row.original} /> }),
  column.display({
    id: "now",
    header: "What happens",
    meta: { from: "lg" },
    cell: ({ row: { original: job } }) =>
      job.error ? (
        <span className="line-clamp-1 text-bad">{job.error.message}</span>
      ) : job.waiting_for ? (
        <span className="line-clamp-1 text-warn">waits for {job.waiting_for}</span>
      ) : job.reason ? (
        <span className="line-clamp-1 text-ink2">“{job.reason}”</span>
      ) : null,
  }),
  column.display({ id: "by", header: "By", meta: { from: "md" }, cell: ({ row }) => row.original.created_by ?? "–" }),
  column.display({
    id: "took",
    header: "Took",
    meta: { align: "right", from: "md", className: "whitespace-nowrap" },
    cell: ({ row }) => <Elapsed from={row.original.started_at} to={row.original.ended_at} />,
  }),
  column.display({
    id: "at",
    header: "Created",
    meta: { align: "right", from: "sm", className: "whitespace-nowrap" },
    cell: ({ row }) => <Ago at={row.original.created_at} className="text-ink2" />,
  }),
];

export default function JobListPage() {
  const search = useSearch({ from: "/app/jobs" });
  const navigate = useNavigate({ from: "/jobs" });
  const query = useInfiniteQuery(jobsQuery(search));
  return (
    <>
      <PageHeader title="Jobs" documentTitle="Jobs" note={<span className="text-ink2">each change being made, step by step</span>} />
      <div className="mb-3">
        <NativeSelect
          aria-label="State"
          className="w-auto"
          value={search.state ?? ""}
          onChange={(event) => void navigate({ search: { state: event.target.value || undefined } })}
        >
          <option value="">All states</option>
          {JOB_STATES.map((state) => (
            <option key={state} value={state}>
              {wordOf(state)}
            </option>
          ))}
        </NativeSelect>
      </div>
      <Panel>
        <DataTable
          label="Jobs"
          noun="job"
          columns={columns}
          query={query}
          rowKey={(job) => job.id}
          empty={
            search.state ? (
              <Empty title="No job is in this state" action={<Button onClick={() => void navigate({ search: {} })}>Show all</Button>} />
            ) : (
              <Empty title="No jobs yet">Publishing a revision and starting or stopping a run each make one.</Empty>
            )
          }
        />
      </Panel>
    </>
  );
}
