import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { runEventsQuery } from "@/api/queries";
import { EventList } from "@/components/event-rows";
import { Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import { SkeletonRows } from "@/components/ui/skeleton";
import { StageFlow } from "@/kinds/pipeline/stage-flow";
import { isRunOver } from "@/lib/state";
import { FailurePanel } from "./failure-panel";
import type { RunTabProps } from "./page";
import { RunLogPanel } from "./run-log";
import { ServingPanel } from "./serving-panel";

const TIMELINE = 40;

export function RunOverview({ run, pipeline, stages }: RunTabProps) {
  const events = useInfiniteQuery(runEventsQuery(run.id));
  const over = isRunOver(run.state);
  return (
    <div className="grid gap-3.5">
      {run.failure || run.state === "failed" ? <FailurePanel run={run} stages={stages} /> : null}
      {stages.length > 0 ? (
        <StageFlow
          stages={pipeline.stages}
          progress={run.progress}
          over={over}
          failed={run.failure?.stage ?? null}
          failure={run.failure?.message ?? null}
        />
      ) : null}
      {run.serving ? <ServingPanel run={run} serving={run.serving} /> : null}
      <div className="grid items-stretch gap-3.5 xl:grid-cols-[minmax(0,1.9fr)_minmax(0,1fr)]">
        <Panel
          title="Logs"
          aside={
            <Link to="." search={{ tab: "logs" }} className="link">
              open in full
            </Link>
          }
          className="h-[460px]"
        >
          <RunLogPanel run={run} stages={stages} compact className="flex-1" />
        </Panel>
        <Panel title="Timeline" aside="events" className="max-h-[460px]">
          <div className="min-h-0 flex-1 overflow-y-auto">
            {events.isPending ? (
              <SkeletonRows rows={5} />
            ) : events.isError && !events.data ? (
              <Failure what="Could not read the events" error={events.error} retry={() => void events.refetch()} />
            ) : events.data && events.data.length > 0 ? (
              <EventList events={events.data} limit={TIMELINE} clock />
            ) : (
              <Empty title="No events yet" />
            )}
          </div>
        </Panel>
      </div>
    </div>
  );
}
