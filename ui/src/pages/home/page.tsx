// Home: what runs, what fails, what changed.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { auditQuery, jobsQuery, runsQuery } from "@/api/queries";
import { EngineRows } from "@/components/engine-rows";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { CommandLine, Empty, Failure } from "@/components/situation";
import { Button } from "@/components/ui/button";
import { SkeletonRows } from "@/components/ui/skeleton";
import { titleOf, useKinds } from "@/kinds/access";
import { useMinute } from "@/lib/now";
import { usePreferences } from "@/lib/preferences";
import { failingOf } from "./failing";
import { RecentChanges } from "./recent-changes";
import { RunningNow } from "./running-now";
import { StageGrids } from "./stage-grids";
import { FailingList } from "./failing-list";

export default function HomePage() {
  const { zone } = usePreferences();
  const kinds = useKinds();
  const running = useInfiniteQuery(runsQuery({ state: "running" }, 20));
  const queued = useInfiniteQuery(runsQuery({ state: "queued" }, 20));
  const recent = useInfiniteQuery(runsQuery({}, 200));
  const waiting = useInfiniteQuery(jobsQuery({ state: "waiting" }, 20));
  const changes = useInfiniteQuery(auditQuery({}, 30));
  const minute = useMinute();
  const failing = useMemo(() => failingOf(recent.data ?? [], minute), [recent.data, minute]);
  const live = useMemo(() => [...(running.data ?? []), ...(queued.data ?? [])], [running.data, queued.data]);
  const runnable = kinds.find((kind) => kind.runnable);

  return (
    <>
      <PageHeader title="Home" documentTitle="Home" actions={<span className="text-ink3">all times {zone === "utc" ? "UTC" : "local"}</span>} />
      <div className="grid items-start gap-3.5 lg:grid-cols-[minmax(0,1.35fr)_minmax(0,1fr)]">
        <div className="grid min-w-0 gap-3.5">
          <Panel title="Running now" aside={running.data ? `${live.length} ${live.length === 1 ? "run" : "runs"}, ${waiting.data?.length ?? 0} waiting jobs` : undefined}>
            {running.isPending ? (
              <SkeletonRows rows={3} />
            ) : running.isError && !running.data ? (
              <Failure what="Could not read the runs" error={running.error} retry={() => void running.refetch()} />
            ) : live.length === 0 && (waiting.data?.length ?? 0) === 0 ? (
              <Empty
                title="Nothing is running"
                action={
                  runnable ? (
                    <Button asChild>
                      <Link to="/$plural" params={{ plural: runnable.plural }} search={{}}>
                        Open {titleOf(runnable).toLowerCase()}
                      </Link>
                    </Button>
                  ) : null
                }
              >
                Start a run from a published pipeline, or with <CommandLine>qd run pipelines/curate</CommandLine>.
              </Empty>
            ) : (
              <RunningNow runs={live} jobs={waiting.data ?? []} />
            )}
          </Panel>
          <Panel
            title="Recent changes"
            aside={
              <Link to="/audit" search={{}} className="link">
                everyone, everything
              </Link>
            }
          >
            <RecentChanges query={changes} />
          </Panel>
        </div>
        <div className="grid min-w-0 gap-3.5">
          <Panel
            title="Failing"
            aside={
              <Link to="/runs" search={{ state: "failed" }} className="link">
                last 24 hours
              </Link>
            }
          >
            {recent.isPending ? <SkeletonRows rows={2} /> : failing.length === 0 ? <Empty title="Nothing has failed">No pipeline’s newest run failed within the last 24 hours.</Empty> : <FailingList runs={failing} />}
          </Panel>
          <Panel
            title="Engines"
            aside={
              <Link to="/engines" className="link">
                age of the reading
              </Link>
            }
          >
            <EngineRows />
          </Panel>
          <StageGrids runs={recent.data} pending={recent.isPending} />
        </div>
      </div>
    </>
  );
}
