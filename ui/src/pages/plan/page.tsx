// A plan: what will happen, may I, and what became of it.
import { useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useId, useState } from "react";
import { useMay } from "@/access/may";
import { ApiError } from "@/api/error";
import { meQuery, planQuery } from "@/api/queries";
import type { StoredPlan } from "@/api/types";
import { Id } from "@/components/copy";
import { ExplainLine } from "@/components/explain-line";
import { PageHeader } from "@/components/page";
import { Fact, Facts, Panel } from "@/components/panel";
import { Gates, PlanSteps, PlanTerms, RiskTag } from "@/components/plan-view";
import { Empty, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Ago, When } from "@/components/time";
import { Button } from "@/components/ui/button";
import { closedGates } from "@/lib/plan";
import { NotFound, PagePending } from "@/shell/fallback";
import { ApplyDialog, ApproveDialog, RejectDialog } from "./dialogs";

export default function PlanPage() {
  const { plan: id } = useParams({ from: "/app/plans/$plan" });
  const query = useQuery(planQuery(id));
  if (query.isPending) return <PagePending />;
  if (!query.data) {
    if (query.error instanceof ApiError && query.error.status === 404) return <NotFound />;
    return (
      <Panel>
        <Failure what="Could not read this plan" error={query.error} retry={() => void query.refetch()} />
      </Panel>
    );
  }
  return <PlanDetail key={query.data.id} stored={query.data} />;
}

function PlanDetail({ stored }: { stored: StoredPlan }) {
  const may = useMay();
  const me = useSuspenseQuery(meQuery).data;
  const [dialog, setDialog] = useState<"approve" | "reject" | "apply" | null>(null);
  const [notApproved, notApplied] = [useId(), useId()];
  const { plan } = stored;
  const own = me.principal.name === stored.created_by;
  const open = stored.state === "open";
  const appliable = stored.state === "approved" || (open && !stored.needs_approval);
  const close = () => setDialog(null);
  const targets = [...new Set(plan.steps.map((step) => step.target))];
  const [first, ...others] = targets;
  const gates = closedGates(plan);
  return (
    <>
      <PageHeader
        documentTitle={`Plan ${stored.operation} ${stored.state}`}
        title={
          <>
            {stored.operation}{" "}
            {first ? (
              <span className="font-normal text-ink2">
                {first}
                {others.length > 0 ? ` and ${others.length} more` : ""}
              </span>
            ) : null}
          </>
        }
        note={
          <>
            <State state={stored.state} />
            <RiskTag risk={stored.risk} />
            {open && own ? (
              <span id={notApproved} className="text-ink2">
                Somebody else than its author approves a plan.
              </span>
            ) : null}
            {open && !appliable ? (
              <span id={notApplied} className="text-ink2">
                A second person approves it before it is applied.
              </span>
            ) : null}
          </>
        }
        actions={
          <>
            {open && (own || stored.may_decide) && may("plans.reject") ? (
              <Button variant="danger" onClick={() => setDialog("reject")}>
                Reject…
              </Button>
            ) : null}
            {open && (stored.may_decide || (own && may("plans.approve"))) ? (
              <Button
                variant={stored.needs_approval ? "primary" : "default"}
                disabled={own}
                aria-describedby={own ? notApproved : undefined}
                onClick={() => setDialog("approve")}
              >
                Approve…
              </Button>
            ) : null}
            {(open || appliable) && may("plans.apply", "some") ? (
              <Button
                variant={appliable ? "primary" : "default"}
                disabled={!appliable}
                aria-describedby={appliable ? undefined : notApplied}
                onClick={() => setDialog("apply")}
              >
                Apply…
              </Button>
            ) : null}
          </>
        }
      >
        <Facts className="mt-2.5">
          <Fact label="Made by">
            <b>{stored.created_by}</b> <Ago at={stored.created_at} />
          </Fact>
          {stored.decided_by ? (
            <Fact label={stored.state === "rejected" ? "Rejected by" : "Approved by"}>
              <b>{stored.decided_by}</b> <Ago at={stored.decided_at} />
              {stored.decision ? <span>“{stored.decision}”</span> : null}
            </Fact>
          ) : null}
          {stored.job_id ? (
            <Fact label="Job">
              <Link to="/jobs/$job" params={{ job: stored.job_id }} className="link mono">
                …{stored.job_id.slice(-6)}
              </Link>
            </Fact>
          ) : null}
          {open || appliable ? (
            <Fact label="Expires">
              <When at={stored.expires_at} />
            </Fact>
          ) : null}
          {stored.reason ? <Fact label="Reason">“{stored.reason}”</Fact> : null}
          <Fact label="Hash">
            <Id id={stored.hash} label="hash" />
          </Fact>
          <Fact label="Id">
            <Id id={stored.id} label="plan id" />
          </Fact>
        </Facts>
      </PageHeader>
      <div className="grid gap-3.5">
        <ExplainLine family="plans" id={stored.id} />
        <div className="grid items-start gap-3.5 lg:grid-cols-[minmax(0,1.7fr)_minmax(0,1fr)]">
          <Panel title="Steps" aside="in this order; each takes effect once">
            <PlanSteps plan={plan} />
          </Panel>
          <div className="grid gap-3.5">
            <Panel title="Gates" aside={gates.length > 0 ? <span className="text-bad">{gates.length} closed</span> : null}>
              {plan.gates.length > 0 ? <Gates gates={plan.gates} /> : <Empty title="Nothing is checked beforehand" />}
            </Panel>
            <Panel title="What it rests on and what it leads to">
              <PlanTerms plan={plan} />
            </Panel>
          </div>
        </div>
      </div>
      {dialog === "approve" ? <ApproveDialog plan={stored} onClose={close} /> : null}
      {dialog === "reject" ? <RejectDialog plan={stored} onClose={close} /> : null}
      {dialog === "apply" ? <ApplyDialog plan={stored} onClose={close} /> : null}
    </>
  );
}
