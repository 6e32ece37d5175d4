import { Link } from "@tanstack/react-router";
import { RotateCcw, Square } from "lucide-react";
import { useState } from "react";
import { useMayOn } from "@/access/may";
import type { Run } from "@/api/types";
import { Id } from "@/components/copy";
import { PageHeader } from "@/components/page";
import { Fact, Facts } from "@/components/panel";
import { State } from "@/components/state";
import { Ago, Elapsed } from "@/components/time";
import { Button } from "@/components/ui/button";
import { count, duration, NONE } from "@/lib/format";
import { doubtOf, isRunOver, shownRunState } from "@/lib/state";
import { RetryDialog, StopDialog } from "./dialogs";

export function RunHeader({ run, plural }: { run: Run; plural: string | null }) {
  const [dialog, setDialog] = useState<"stop" | "retry" | null>(null);
  const mayDo = useMayOn(plural, run.resource.name);
  const over = isRunOver(run.state);
  const stopping = Boolean(run.stop_requested_at) && !over;
  const progress = run.progress;
  const outputs = run.results?.outputs ?? progress?.outputs ?? null;
  const dropped = run.results?.dropped ?? progress?.dropped ?? 0;
  const doubt = doubtOf(run);
  const phase = run.state === "running" && progress?.phase && progress.phase !== "running" ? progress.phase : null;
  return (
    <PageHeader
      documentTitle={`${run.ref} ${run.state}`}
      title={
        <>
          {run.resource.name} <span className="mono text-lg font-normal tracking-normal text-ink3">#{run.number}</span>
        </>
      }
      note={
        <>
          <State state={shownRunState(run)} />
          {doubt ? (
            <span className="min-w-0 text-ink2">
              since <Ago at={doubt.since} />: {doubt.reason}
            </span>
          ) : null}
          {phase && !stopping && !doubt ? <span className="text-ink2">{phase}</span> : null}
          {run.message && !run.failure ? <span className="min-w-0 text-ink2">{run.message}</span> : null}
        </>
      }
      actions={
        <>
          {run.state === "succeeded" || !mayDo(over ? "retry" : "stop") ? null : over ? (
            <Button onClick={() => setDialog("retry")}>
              <RotateCcw aria-hidden />
              Retry…
            </Button>
          ) : (
            <Button variant="danger" onClick={() => setDialog("stop")} disabled={stopping}>
              <Square aria-hidden />
              {stopping ? "Stopping" : "Stop…"}
            </Button>
          )}
        </>
      }
    >
      <Facts className="mt-2.5">
        <Fact label="Revision">
          <b>r{run.revision}</b>
          {plural && run.revision > 1 ? (
            <Link to="/$plural/$name" params={{ plural, name: run.resource.name }} search={{ tab: "revisions", rev: run.revision }} className="link">
              diff to r{run.revision - 1}
            </Link>
          ) : null}
        </Fact>
        <Fact label="Started by">
          <b>{run.created_by ?? NONE}</b> <Ago at={run.created_at} />
        </Fact>
        <Fact label="Engine">
          <b>
            {run.engine}
            {run.engine_detail?.xenna ? ` ${run.engine_detail.xenna}` : ""}
          </b>
          {run.engine_detail?.connection ? <span>{run.engine_detail.connection}</span> : null}
          {run.engine_detail?.ray ? <span>Ray {run.engine_detail.ray}</span> : null}
          {run.engine_detail?.python ? <span>Python {run.engine_detail.python}</span> : null}
        </Fact>
        <Fact label="Elapsed">
          <b>
            <Elapsed from={run.started_at} to={run.ended_at} />
          </b>
          {run.usual_duration_s !== null && !run.serving ? <span className="text-ink3">usual {duration(run.usual_duration_s)}</span> : null}
        </Fact>
        {run.serving ? (
          <Fact label="Answered">
            <b>{count(run.serving.answered)}</b> {run.serving.failed > 0 ? <span className="text-bad">{count(run.serving.failed)} failed</span> : null}
          </Fact>
        ) : progress ? (
          <Fact label="Items in">
            <b>
              {count(progress.inputs_done)}
              {progress.inputs_total === null ? "" : ` of ${count(progress.inputs_total)}`}
            </b>
          </Fact>
        ) : null}
        {run.serving ? null : (
          <Fact label="Items out">
            <b>{count(outputs)}</b>
          </Fact>
        )}
        {dropped > 0 ? (
          <Fact label="Dropped">
            <b className="!text-warn">{count(dropped)}</b>
            <Link to="." search={{ tab: "events" }} className="link">
              why
            </Link>
          </Fact>
        ) : null}
        {run.attempt > 1 ? (
          <Fact label="Attempt">
            <b>{run.attempt}</b>
            <Link to="." search={{ tab: "events" }} className="link">
              earlier ones
            </Link>
          </Fact>
        ) : null}
        {run.job_id ? (
          <Fact label="Job">
            <Link to="/jobs/$job" params={{ job: run.job_id }} className="link mono">
              …{run.job_id.slice(-6)}
            </Link>
          </Fact>
        ) : null}
        <Fact label="Id">
          <Id id={run.id} label="run id" />
        </Fact>
      </Facts>
      {dialog === "stop" ? <StopDialog run={run} onClose={() => setDialog(null)} /> : null}
      {dialog === "retry" ? <RetryDialog run={run} onClose={() => setDialog(null)} /> : null}
    </PageHeader>
  );
}
