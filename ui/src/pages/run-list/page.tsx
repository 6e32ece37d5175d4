import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { runsQuery } from "@/api/queries";
import { DataTable } from "@/components/data-table";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { runColumns } from "@/components/run-table";
import { CommandLine, Empty } from "@/components/situation";
import { Button } from "@/components/ui/button";
import { NativeSelect } from "@/components/ui/input";
import { titleOf, useKinds } from "@/kinds/access";
import { RUN_STATES, wordOf } from "@/lib/state";

export default function RunListPage() {
  const search = useSearch({ from: "/app/runs" });
  const navigate = useNavigate({ from: "/runs" });
  const kinds = useKinds().filter((kind) => kind.runnable);
  const query = useInfiniteQuery(runsQuery(search));
  const filtered = Boolean(search.state || search.kind);
  return (
    <>
      <PageHeader title="Runs" documentTitle="Runs" />
      <div className="mb-3 flex flex-wrap gap-2">
        <NativeSelect
          aria-label="State"
          className="w-auto"
          value={search.state ?? ""}
          onChange={(event) => void navigate({ search: (old) => ({ ...old, state: event.target.value || undefined }) })}
        >
          <option value="">All states</option>
          {RUN_STATES.map((state) => (
            <option key={state} value={state}>
              {wordOf(state)}
            </option>
          ))}
        </NativeSelect>
        {kinds.length > 1 ? (
          <NativeSelect
            aria-label="Kind"
            className="w-auto"
            value={search.kind ?? ""}
            onChange={(event) => void navigate({ search: (old) => ({ ...old, kind: event.target.value || undefined }) })}
          >
            <option value="">All kinds</option>
            {kinds.map((kind) => (
              <option key={kind.kind} value={kind.kind}>
                {titleOf(kind)}
              </option>
            ))}
          </NativeSelect>
        ) : null}
      </div>
      <Panel>
        <DataTable
          label="Runs"
          noun="run"
          columns={runColumns}
          query={query}
          rowKey={(run) => run.id}
          empty={
            filtered ? (
              <Empty title="No run matches these filters" action={<Button onClick={() => void navigate({ search: {} })}>Clear filters</Button>} />
            ) : (
              <Empty title="No runs yet">
                Open a published pipeline and press “Start run…”, or use <CommandLine>qd run pipelines/curate</CommandLine>.
              </Empty>
            )
          }
        />
      </Panel>
    </>
  );
}
