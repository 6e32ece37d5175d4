// Runs by stage of the pipelines that ran last.
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import type { Run } from "@/api/types";
import { Panel } from "@/components/panel";
import { RunGrid } from "@/components/run-grid";
import { Empty } from "@/components/situation";
import { Skeleton } from "@/components/ui/skeleton";
import { usePluralOf } from "@/kinds/access";

const SHOWN = 3;
const COLUMNS = 24;

export function StageGrids({ runs, pending }: { runs: Run[] | undefined; pending: boolean }) {
  const pluralOf = usePluralOf();
  const groups = useMemo(() => {
    const map = new Map<string, Run[]>();
    for (const run of runs ?? []) {
      const held = map.get(run.resource.id);
      if (held) held.push(run);
      else if (map.size < SHOWN) map.set(run.resource.id, [run]);
    }
    return [...map.values()];
  }, [runs]);
  if (pending) {
    return (
      <Panel title="Runs by stage">
        <Skeleton className="m-3.5 h-24" />
      </Panel>
    );
  }
  if (groups.length === 0) {
    return (
      <Panel title="Runs by stage">
        <Empty title="No runs yet">Each run gets a column, each of its stages a square.</Empty>
      </Panel>
    );
  }
  return (
    <Panel title="Runs by stage" aside={`last ${COLUMNS}, newest at the right`}>
      <div>
      {groups.map((group) => {
        const [first] = group;
        if (!first) return null;
        const plural = pluralOf(first.kind);
        return (
          <div key={first.resource.id} className="border-t first:border-t-0">
            <div className="px-3.5 pt-2.5 font-[540]">
              {plural ? (
                <Link to="/$plural/$name" params={{ plural, name: first.resource.name }} search={{}} className="link">
                  {first.resource.name}
                </Link>
              ) : (
                first.resource.name
              )}
            </div>
            <RunGrid runs={group} stages={[]} columns={COLUMNS} />
          </div>
        );
      })}
      </div>
    </Panel>
  );
}
