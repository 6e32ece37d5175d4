import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { plansQuery } from "@/api/queries";
import type { PlanSummary } from "@/api/types";
import { columnsFor, DataTable } from "@/components/data-table";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { RiskTag, TargetLink } from "@/components/plan-view";
import { CommandLine, Empty } from "@/components/situation";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { NativeSelect } from "@/components/ui/input";
import { PLAN_STATES, wordOf } from "@/lib/state";

const column = columnsFor<PlanSummary>();

function Targets({ plan }: { plan: PlanSummary }) {
  const [first, ...more] = plan.targets;
  if (!first) return <span className="text-ink3">–</span>;
  return (
    <span className="break-all">
      <TargetLink target={first} />
      {more.length > 0 ? <span className="text-ink3" title={more.join(", ")}> and {more.length} more</span> : null}
    </span>
  );
}

const columns = [
  column.display({
    id: "what",
    header: "Plan",
    cell: ({ row: { original: plan } }) => (
      <Link to="/plans/$plan" params={{ plan: plan.id }} className="link inline-flex items-center gap-2 whitespace-nowrap max-sm:min-h-11">
        {plan.operation} <span className="mono text-ink3 max-sm:hidden">…{plan.id.slice(-6)}</span>
      </Link>
    ),
  }),
  column.display({
    id: "state",
    header: "State",
    cell: ({ row: { original: plan } }) => (
      <State state={plan.state} word={plan.state === "open" && plan.needs_approval ? "Wants approval" : undefined} tone={plan.state === "open" && plan.needs_approval ? "warn" : undefined} />
    ),
  }),
  column.display({ id: "of", header: "Of", meta: { from: "sm" }, cell: ({ row }) => <Targets plan={row.original} /> }),
  column.display({ id: "risk", header: "Risk", meta: { from: "md" }, cell: ({ row }) => <RiskTag risk={row.original.risk} /> }),
  column.display({
    id: "now",
    header: "What is known",
    meta: { from: "lg" },
    cell: ({ row: { original: plan } }) =>
      plan.stale ? (
        <span className="line-clamp-1 text-warn">{plan.stale}</span>
      ) : plan.decided_by ? (
        <span className="text-ink2">
          {plan.state === "rejected" ? "rejected" : "approved"} by {plan.decided_by}
        </span>
      ) : plan.reason ? (
        <span className="line-clamp-1 text-ink2">“{plan.reason}”</span>
      ) : null,
  }),
  column.display({ id: "by", header: "By", meta: { from: "md" }, cell: ({ row }) => row.original.created_by }),
  column.display({
    id: "at",
    header: "Made",
    meta: { align: "right", className: "whitespace-nowrap" },
    cell: ({ row }) => <Ago at={row.original.created_at} className="text-ink2" />,
  }),
];

export default function PlanListPage() {
  const search = useSearch({ from: "/app/plans" });
  const navigate = useNavigate({ from: "/plans" });
  const query = useInfiniteQuery(plansQuery(search));
  return (
    <>
      <PageHeader title="Plans" documentTitle="Plans" note={<span className="text-ink2">changes that are looked at before they are made</span>} />
      <div className="mb-3">
        <NativeSelect
          aria-label="State"
          className="w-auto"
          value={search.state ?? ""}
          onChange={(event) => void navigate({ search: { state: event.target.value || undefined } })}
        >
          <option value="">All states</option>
          {PLAN_STATES.map((state) => (
            <option key={state} value={state}>
              {wordOf(state)}
            </option>
          ))}
        </NativeSelect>
      </div>
      <Panel>
        <DataTable
          label="Plans"
          noun="plan"
          columns={columns}
          query={query}
          rowKey={(plan) => plan.id}
          empty={
            search.state ? (
              <Empty title="No plan is in this state" action={<Button onClick={() => void navigate({ search: {} })}>Show all</Button>} />
            ) : (
              <Empty title="No plans yet">
                Publishing, rolling back, starting, stopping and retrying each offer to be kept as a plan; so does <CommandLine>qd plan</CommandLine>.
              </Empty>
            )
          }
        />
      </Panel>
    </>
  );
}
