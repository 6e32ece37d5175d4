import { lazy, Suspense, useMemo } from "react";
import { Panel } from "@/components/panel";
import { Skeleton } from "@/components/ui/skeleton";
import { isRunOver } from "@/lib/state";
import type { RunTabProps } from "./page";

const PipelineGraph = lazy(() => import("@/kinds/pipeline/graph"));

export default function GraphTab({ run, pipeline }: RunTabProps) {
  const { failure } = run;
  const problems = useMemo(
    () => new Map(failure?.stage ? [[failure.stage, `${failure.exception}: ${failure.message}`]] : []),
    [failure],
  );
  return (
    <Panel title="Stages" aside={`revision r${run.revision}${isRunOver(run.state) ? ", as it ended" : ", live"}`}>
      <Suspense fallback={<Skeleton className="m-3.5 h-60" />}>
        <PipelineGraph pipeline={pipeline} progress={run.progress} over={isRunOver(run.state)} problems={problems} />
      </Suspense>
    </Panel>
  );
}
