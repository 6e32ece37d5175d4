// A run: where is it slow, or where is it broken.
import { useQuery } from "@tanstack/react-query";
import { useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useMemo } from "react";
import { ApiError } from "@/api/error";
import { revisionQuery, runQuery } from "@/api/queries";
import type { Run } from "@/api/types";
import { ExplainLine } from "@/components/explain-line";
import { type TabItem, TabLinks } from "@/components/page";
import { Panel } from "@/components/panel";
import { Failure } from "@/components/situation";
import { SkeletonRows } from "@/components/ui/skeleton";
import { usePluralOf } from "@/kinds/access";
import { pipelineOf, type PipelineView } from "@/kinds/pipeline/spec";
import { NotFound, PagePending } from "@/shell/fallback";
import { RunHeader } from "./header";
import { RunOverview } from "./overview";

const LogsTab = lazy(() => import("./logs-tab"));
const GraphTab = lazy(() => import("./graph-tab"));
const ThroughputTab = lazy(() => import("./throughput-tab"));
const EventsTab = lazy(() => import("./events-tab"));
const ResultsTab = lazy(() => import("./results-tab"));
const YamlTab = lazy(() => import("./yaml-tab"));

export interface RunTabProps {
  run: Run;
  plural: string | null;
  pipeline: PipelineView;
  stages: { id: string; name: string }[];
}

export default function RunPage() {
  const { run: id } = useParams({ from: "/app/runs/$run" });
  const query = useQuery(runQuery(id));
  if (query.isPending) return <PagePending />;
  if (!query.data) {
    if (query.error instanceof ApiError && query.error.status === 404) return <NotFound />;
    return (
      <Panel>
        <Failure what="Could not read this run" error={query.error} retry={() => void query.refetch()} />
      </Panel>
    );
  }
  return <RunDetail key={query.data.id} run={query.data} />;
}

function RunDetail({ run }: { run: Run }) {
  const search = useSearch({ from: "/app/runs/$run" });
  const plural = usePluralOf()(run.kind);
  const revision = useQuery({ ...revisionQuery(plural ?? "", run.resource.name, run.revision), enabled: plural !== null });
  const pipeline = useMemo(() => pipelineOf(revision.data?.spec), [revision.data]);
  const progressStages = run.progress?.stages;
  const stages = useMemo(
    () =>
      pipeline.stages.length > 0
        ? pipeline.stages.map(({ id, name }) => ({ id, name }))
        : (progressStages ?? []).map(({ id, name }) => ({ id, name: name || id })),
    [pipeline, progressStages],
  );
  const staged = stages.length > 0;
  const tabs: TabItem[] = [
    { id: "overview", label: "Overview" },
    ...(staged ? [{ id: "graph", label: "Graph" }] : []),
    { id: "logs", label: "Logs" },
    ...(staged ? [{ id: "throughput", label: "Throughput" }] : []),
    { id: "events", label: "Events" },
    { id: "results", label: "Results", count: run.results?.files_total ?? run.results?.files.length ?? null },
    { id: "yaml", label: "YAML" },
  ];
  // A link to a line of the log opens the log, whatever the tab says.
  const wanted = search.tab ?? (search.line === undefined ? "overview" : "logs");
  const tab = tabs.find((each) => each.id === wanted)?.id ?? "overview";
  const props: RunTabProps = { run, plural, pipeline, stages };
  return (
    <>
      <RunHeader run={run} plural={plural} />
      <ExplainLine family="runs" id={run.id} className="mb-3.5" />
      <TabLinks tabs={tabs} current={tab} />
      <Suspense
        fallback={
          <Panel>
            <SkeletonRows rows={6} />
          </Panel>
        }
      >
        {tab === "logs" ? (
          <LogsTab {...props} />
        ) : tab === "graph" ? (
          <GraphTab {...props} />
        ) : tab === "throughput" ? (
          <ThroughputTab {...props} />
        ) : tab === "events" ? (
          <EventsTab {...props} />
        ) : tab === "results" ? (
          <ResultsTab {...props} />
        ) : tab === "yaml" ? (
          <YamlTab {...props} />
        ) : (
          <RunOverview {...props} />
        )}
      </Suspense>
    </>
  );
}
