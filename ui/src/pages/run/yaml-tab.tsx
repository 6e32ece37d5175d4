import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { revisionQuery } from "@/api/queries";
import { YamlView } from "@/components/code/lazy";
import { Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import type { RunTabProps } from "./page";

export default function YamlTab({ run, plural }: RunTabProps) {
  const revision = useQuery({ ...revisionQuery(plural ?? "", run.resource.name, run.revision), enabled: plural !== null });
  const params = Object.keys(run.params).length > 0;
  return (
    <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1.7fr)_minmax(0,1fr)]">
      <Panel
        title={`Revision r${run.revision}`}
        aside={
          plural ? (
            <Link to="/$plural/$name" params={{ plural, name: run.resource.name }} search={{ tab: "revisions", rev: run.revision }} className="link">
              the revision this run is pinned to
            </Link>
          ) : null
        }
      >
        {revision.isError ? (
          <Failure what="Could not read the revision" error={revision.error} retry={() => void revision.refetch()} />
        ) : (
          <YamlView value={revision.data?.spec} label={`Spec of r${run.revision}`} className="max-h-[75vh]" />
        )}
      </Panel>
      <Panel title="Params" aside="of this run">
        {params ? <YamlView value={run.params} label="Params of this run" className="max-h-80" /> : <Empty title="Started with the defaults" />}
      </Panel>
    </div>
  );
}
