// Home: what runs, what fails, what changed.
import { useInfiniteQuery, useSuspenseQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useMay } from "@/access/may";
import { auditQuery, inboxQuery, jobsQuery, meQuery, runsQuery } from "@/api/queries";
import { EngineRows } from "@/components/engine-rows";
import { InboxRows } from "@/components/inbox-rows";
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
  const may = useMay();
  const { zone } = usePreferences();
  const kinds = useKinds();
  const running = useInfiniteQuery({ ...runsQuery({ state: "running" }, 20), enabled: may("runs.list", "some") });
  const queued = useInfiniteQuery({ ...runsQuery({ state: "queued" }, 20), enabled: may("runs.list", "some") });
  const recent = useInfiniteQuery({ ...runsQuery({}, 200), enabled: may("runs.list", "some") });
  const waiting = useInfiniteQuery({ ...jobsQuery({ state: "waiting" }, 20), enabled: may("jobs.list", "some") });
  const changes = useInfiniteQuery({ ...auditQuery({ outcome: "success" }, 30), enabled: may("audit.read", "some") });
  const minute = useMinute();
  const failing = useMemo(() => failingOf(recent.data ?? [], minute), [recent.data, minute]);
  const live = useMemo(() => [...(running.data ?? []), ...(queued.data ?? [])], [running.data, queued.data]);
  const runnable = kinds.find((kind) => kind.runnable && may(`${kind.plural}.list`));

  if (!may("runs.list", "some")) return <NothingHere />;
  return (
    <>
      <PageHeader title="Home" documentTitle="Home" actions={<span className="text-ink3">all times {zone === "utc" ? "UTC" : "local"}</span>} />
      <div className="grid items-start gap-3.5 lg:grid-cols-[minmax(0,1.35fr)_minmax(0,1fr)]">
        <div className="grid min-w-0 gap-3.5">
          <NeedsYou />
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
          {may("audit.read", "some") ? (
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
          ) : null}
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
          {may("engines.list") ? (
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
          ) : null}
          <StageGrids runs={recent.data} pending={recent.isPending} />
        </div>
      </div>
    </>
  );
}

/** What waits for one's decision comes before all else, and only where something does. */
function NeedsYou() {
  const query = useInfiniteQuery(inboxQuery(5));
  const items = query.data ?? [];
  if (items.length === 0) return null;
  return (
    <Panel
      title="Needs you"
      aside={
        <Link to="/reviews" className="link">
          {query.hasNextPage ? "more, and what you were told" : "and what you were told"}
        </Link>
      }
    >
      <InboxRows items={items} />
    </Panel>
  );
}

/** Who may not even see runs sees nothing of a project: it says where else one can work. */
function NothingHere() {
  const me = useSuspenseQuery(meQuery).data;
  return (
    <>
      <PageHeader title="Home" documentTitle="Home" />
      <Panel>
        <Empty
          title={`You hold no role in ${me.tenant.name} / ${me.project.name}`}
          action={
            <Button asChild>
              <Link to="/profile">See your roles</Link>
            </Button>
          }
        >
          Whoever administers the tenant grants one: <CommandLine>{`qd members grant ${me.principal.name} ROLE`}</CommandLine>. Where you hold one, you get by the switch above the navigation.
        </Empty>
      </Panel>
    </>
  );
}
