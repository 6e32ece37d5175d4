// A job: its steps, what it waits for, what went wrong, and the ids to follow it by.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { newIdempotencyKey } from "@/api/client";
import { ApiError } from "@/api/error";
import { jobCancel } from "@/api/mutations";
import { jobQuery } from "@/api/queries";
import type { Job, JobStep } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Id } from "@/components/copy";
import { PageHeader } from "@/components/page";
import { Fact, Facts, Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Ago, Elapsed } from "@/components/time";
import { Button } from "@/components/ui/button";
import { usePluralOf } from "@/kinds/access";
import { inlineJson } from "@/lib/format";
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
  return <JobDetail job={query.data} />;
}

function JobDetail({ job }: { job: Job }) {
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
  const steps = job.steps;
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
          isJobOver(job.state) ? null : (
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
            </div>
          </Panel>
        ) : null}
        {job.waiting_for && !isJobOver(job.state) ? (
          <Panel className="border-warn">
            <p className="flex items-center gap-2 px-3.5 py-2.5">
              <State state="waiting" /> for {job.waiting_for}
            </p>
          </Panel>
        ) : null}
        <Panel title="Steps" aside={`${steps.filter((step) => step.state === "succeeded").length} of ${steps.length} done`}>
          {steps.length === 0 ? (
            <Empty title="No steps yet">They are written when a worker takes the job.</Empty>
          ) : (
            <ol>
              {steps.map((step, i) => (
                <Step key={step.name} step={step} number={i + 1} />
              ))}
            </ol>
          )}
        </Panel>
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
        effect={<p>The step at work is asked to end; steps after it do not start. What has already taken effect stays.</p>}
      />
    </>
  );
}

function Step({ step, number }: { step: JobStep; number: number }) {
  const output = step.output !== null && step.output !== undefined && inlineJson(step.output) !== "{}" ? inlineJson(step.output) : null;
  return (
    <li className="grid grid-cols-[20px_minmax(0,1fr)_auto] items-start gap-x-2.5 border-t px-3.5 py-2 first:border-t-0">
      <span className="text-ink3">{number}</span>
      <div className="min-w-0">
        <div>
          {step.title || step.name} <span className="mono text-ink3 max-sm:hidden">{step.title ? step.name : ""}</span>
        </div>
        {step.error ? <div className="break-words text-bad">{step.error}</div> : null}
        {output ? <div className="mono line-clamp-2 break-all text-ink3" title={output}>{output}</div> : null}
      </div>
      <div className="flex items-center gap-3">
        {step.attempts > 1 ? <span className="text-xs text-warn">{step.attempts} attempts</span> : null}
        <span className="text-ink3 max-sm:hidden">{step.started_at && step.state !== "pending" ? <Elapsed from={step.started_at} to={step.ended_at} /> : null}</span>
        <State state={step.state} />
      </div>
    </li>
  );
}
