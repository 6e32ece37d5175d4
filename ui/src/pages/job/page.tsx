// A job: why it is where it is, its steps live with what each changes, waits for or takes back, its locks with who has them, and
// what was recorded of it.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { useMay } from "@/access/may";
import { newIdempotencyKey } from "@/api/client";
import { ApiError } from "@/api/error";
import { jobCancel } from "@/api/mutations";
import { jobQuery } from "@/api/queries";
import type { JobDetail, JobLock } from "@/api/types";
import { AuditList } from "@/components/audit-rows";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Id } from "@/components/copy";
import { EventList } from "@/components/event-rows";
import { ExplainLine } from "@/components/explain-line";
import { PageHeader } from "@/components/page";
import { Fact, Facts, Panel } from "@/components/panel";
import { Gates, PlanTerms, StepChanges, TargetLink } from "@/components/plan-view";
import { Empty, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Ago, Elapsed } from "@/components/time";
import { Button } from "@/components/ui/button";
import { usePluralOf } from "@/kinds/access";
import { inlineJson } from "@/lib/format";
import { type StepRow, stepRows, stillDone } from "@/lib/job-steps";
import { isJobOver } from "@/lib/state";
import { NotFound, PagePending } from "@/shell/fallback";

export default function JobPage() {
  const { job: id } = useParams({ from: "/app/jobs/$job" });
  const query = useQuery(jobQuery(id));
  if (query.isPending) return <PagePending />;
  if (!query.data) {
    if (query.error instanceof ApiError && query.error.status === 404) return <NotFound />;
    return (
      <Panel>
        <Failure what="Could not read this job" error={query.error} retry={() => void query.refetch()} />
      </Panel>
    );
  }
  return <JobView job={query.data} />;
}

function JobView({ job }: { job: JobDetail }) {
  const may = useMay();
  const client = useQueryClient();
  const plural = usePluralOf()(job.resource?.kind);
  const [cancelling, setCancelling] = useState(false);
  const [key] = useState(newIdempotencyKey);
  const cancel = useMutation({
    mutationFn: () => jobCancel(job.id, key),
    onSuccess: () => {
      setCancelling(false);
      void client.invalidateQueries({ queryKey: ["job", job.id] });
    },
  });
  const rows = stepRows(job);
  const left = stillDone(job);
  return (
    <>
      <PageHeader
        documentTitle={`${job.operation} ${job.state}`}
        title={
          <>
            {job.operation} {job.resource ? <span className="font-normal text-ink2">{job.resource.name}</span> : null}
          </>
        }
        note={<State state={job.state} />}
        actions={
          isJobOver(job.state) || !may("jobs.cancel", "some") ? null : (
            <Button variant="danger" disabled={job.cancel_requested} onClick={() => setCancelling(true)}>
              {job.cancel_requested ? "Cancelling" : "Cancel job…"}
            </Button>
          )
        }
      >
        <Facts className="mt-2.5">
          {job.resource && plural ? (
            <Fact label="Of">
              <Link to="/$plural/$name" params={{ plural, name: job.resource.name }} search={{}} className="link">
                {job.resource.name}
              </Link>
            </Fact>
          ) : null}
          {job.run_id ? (
            <Fact label="Run">
              <Link to="/runs/$run" params={{ run: job.run_id }} search={{}} className="link mono">
                …{job.run_id.slice(-6)}
              </Link>
            </Fact>
          ) : null}
          <Fact label="By">
            <b>{job.created_by ?? "–"}</b> <Ago at={job.created_at} />
          </Fact>
          <Fact label="Took">
            <b>
              <Elapsed from={job.started_at} to={job.ended_at} />
            </b>
          </Fact>
          {job.reason ? <Fact label="Reason">“{job.reason}”</Fact> : null}
          <Fact label="Id">
            <Id id={job.id} label="job id" />
          </Fact>
          {job.request_id ? (
            <Fact label="Request">
              <Id id={job.request_id} label="request id" />
            </Fact>
          ) : null}
          {job.correlation_id ? (
            <Fact label="Correlation">
              <Id id={job.correlation_id} label="correlation id" />
            </Fact>
          ) : null}
        </Facts>
      </PageHeader>
      <div className="grid gap-3.5">
        {job.error ? (
          <Panel className="border-bad">
            <div role="alert" className="px-3.5 py-3">
              <p className="font-[560] break-words text-bad">{job.error.message}</p>
              <p className="mono text-ink3">{job.error.code}</p>
              {left.length > 0 ? <p className="mt-1 break-words text-ink2">Still done: {left.join(", ")}.</p> : null}
            </div>
          </Panel>
        ) : null}
        <ExplainLine family="jobs" id={job.id} />
        <div className="grid items-start gap-3.5 lg:grid-cols-[minmax(0,1.7fr)_minmax(0,1fr)]">
          <div className="grid gap-3.5">
            <Panel title="Steps" aside={progressOf(job)}>
              {rows.length === 0 ? (
                <Empty title="No steps">There was nothing to do.</Empty>
              ) : (
                <ol>
                  {rows.map((row, i) => (
                    <Step key={i} row={row} number={i + 1} />
                  ))}
                </ol>
              )}
            </Panel>
            {job.events.length > 0 ? (
              <Panel title="Events" aside="newest first">
                <EventList events={job.events} clock />
              </Panel>
            ) : null}
            {job.audit.length > 0 ? (
              <Panel title="Audit">
                <AuditList records={job.audit} />
              </Panel>
            ) : null}
          </div>
          <div className="grid gap-3.5">
            {job.locks.length > 0 ? (
              <Panel title="Locks">
                <ul>
                  {job.locks.map((lock) => (
                    <Lock key={lock.key} lock={lock} />
                  ))}
                </ul>
              </Panel>
            ) : null}
            {job.plan.gates.length > 0 ? (
              <Panel title="Gates" aside="as they were when it was asked for">
                <Gates gates={job.plan.gates} />
              </Panel>
            ) : null}
            <Panel
              title="Plan"
              aside={
                job.plan_id ? (
                  <Link to="/plans/$plan" params={{ plan: job.plan_id }} className="link text-xs">
                    plan …{job.plan_id.slice(-6)}
                  </Link>
                ) : (
                  "made with the job"
                )
              }
            >
              <PlanTerms plan={{ ...job.plan, locks: [] }} />
              {job.plan_hash ? (
                <p className="flex items-center gap-2 border-t px-3.5 py-2 text-xs text-ink3">
                  hash <Id id={job.plan_hash} label="hash" />
                </p>
              ) : null}
            </Panel>
          </div>
        </div>
      </div>
      <ConfirmDialog
        open={cancelling}
        onOpenChange={setCancelling}
        title="Cancel this job"
        confirm="Cancel job"
        danger
        pending={cancel.isPending}
        error={cancel.error}
        failed="The job was not cancelled"
        onConfirm={() => cancel.mutate()}
        effect={<p>The step at work is asked to end; steps after it do not start. What has already taken effect is taken back where it can be; the rest stays.</p>}
      />
    </>
  );
}

function progressOf(job: JobDetail): string {
  const done = job.steps.filter((step) => step.state === "succeeded").length;
  const undone = job.steps.filter((step) => step.state === "undone").length;
  return [`${done} of ${job.steps.length} done`, undone > 0 ? `${undone} taken back` : ""].filter(Boolean).join(", ");
}

function Lock({ lock }: { lock: JobLock }) {
  return (
    <li className="flex flex-wrap items-baseline gap-x-2.5 gap-y-0.5 border-t px-3.5 py-2 first:border-t-0">
      <TargetLink target={lock.key} className="mono break-all" />
      <span className="ml-auto text-ink2">
        {lock.held ? (
          "held by this job"
        ) : lock.holder ? (
          <>
            held by{" "}
            <Link to="/jobs/$job" params={{ job: lock.holder }} className="link mono">
              …{lock.holder.slice(-6)}
            </Link>
          </>
        ) : (
          <span className="text-ink3">free</span>
        )}
      </span>
    </li>
  );
}

function Step({ row: { step, planned, note, error }, number }: { row: StepRow; number: number }) {
  const output = step.output !== null && step.output !== undefined && inlineJson(step.output) !== "{}" ? inlineJson(step.output) : null;
  const began = step.started_at && step.state !== "pending" && step.state !== "skipped";
  return (
    <li data-step={step.name} className="grid grid-cols-[20px_minmax(0,1fr)_auto] items-start gap-x-2.5 border-t px-3.5 py-2 first:border-t-0">
      <span className="text-ink3">{number}</span>
      <div className="min-w-0">
        <div className="break-words">{step.title || step.name}</div>
        <div className="flex flex-wrap gap-x-3">
          {planned ? <TargetLink target={planned.target} className="mono break-all" /> : null}
          {step.title ? <span className="mono break-all text-ink3 max-sm:hidden">{step.name}</span> : null}
        </div>
        {note ? <div className="break-words text-warn">{note}</div> : null}
        {error ? <div className="break-words text-bad">{error}</div> : null}
        {output ? (
          <div className="mono line-clamp-2 break-all text-ink3" title={output}>
            {output}
          </div>
        ) : null}
        {planned ? <StepChanges step={planned} open={false} /> : null}
      </div>
      <div className="flex items-center gap-3">
        {step.attempts > 1 ? <span className="text-xs text-warn">{step.attempts} attempts</span> : null}
        <span className="text-ink3 max-sm:hidden">{began ? <Elapsed from={step.started_at} to={step.ended_at} /> : null}</span>
        <State state={step.state} />
      </div>
    </li>
  );
}
