import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useMemo } from "react";
import { resourceRunsQuery } from "@/api/queries";
import { Panel } from "@/components/panel";
import { Empty } from "@/components/situation";
import { Skeleton } from "@/components/ui/skeleton";
import type { TabProps } from "@/kinds/registry";
import { pipelineOf } from "./spec";

const PipelineGraph = lazy(() => import("./graph"));

export default function GraphTab({ kind, resource }: TabProps) {
  const runs = useInfiniteQuery(resourceRunsQuery(kind.plural, resource.name, 24)).data ?? [];
  const live = runs.find((run) => run.state === "running" && run.revision === resource.published?.number) ?? null;
  const pipeline = useMemo(() => pipelineOf(resource.spec), [resource.spec]);
  return (
    <Panel
      title="Stages"
      aside={
        live ? (
          <span>
            numbers of{" "}
            <Link to="/runs/$run" params={{ run: live.id }} search={{}} className="link underline underline-offset-2">
              {live.ref}
            </Link>
            , live
          </span>
        ) : (
          <span>{resource.published ? `published revision r${resource.published.number}` : "nothing published"}</span>
        )
      }
    >
      {pipeline.stages.length === 0 ? (
        <Empty title="No published stages yet">Publish the working copy, and its stages are drawn here.</Empty>
      ) : (
        <Suspense fallback={<Skeleton className="m-3.5 h-60" />}>
          <PipelineGraph pipeline={pipeline} progress={live?.progress} />
        </Suspense>
      )}
    </Panel>
  );
}
