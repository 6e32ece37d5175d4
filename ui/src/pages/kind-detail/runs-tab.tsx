import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { resourceRunsQuery } from "@/api/queries";
import { DataTable } from "@/components/data-table";
import { Panel } from "@/components/panel";
import { RunGrid } from "@/components/run-grid";
import { runColumns } from "@/components/run-table";
import { CommandLine, Empty } from "@/components/situation";
import { pipelineOf } from "@/kinds/pipeline/spec";
import type { TabProps } from "@/kinds/registry";

export default function RunsTab({ kind, resource }: TabProps) {
  const runs = useInfiniteQuery(resourceRunsQuery(kind.plural, resource.name));
  const stages = useMemo(() => pipelineOf(resource.spec).stages, [resource.spec]);
  const columns = useMemo(() => runColumns.filter((column) => column.id !== "of"), []);
  return (
    <div className="grid gap-3.5">
      {runs.data && runs.data.length > 0 ? (
        <Panel title="Runs by stage" aside="the last 48, newest at the right">
          <RunGrid runs={runs.data} stages={stages} columns={48} />
        </Panel>
      ) : null}
      <Panel title="Runs">
        <DataTable
          label="Runs"
          noun="run"
          columns={columns}
          query={runs}
          rowKey={(run) => run.id}
          empty={<Empty title="No runs yet">Start one with “Start run…”, or with <CommandLine>{`qd run ${kind.plural}/${resource.name}`}</CommandLine>.</Empty>}
        />
      </Panel>
    </div>
  );
}
