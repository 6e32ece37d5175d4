// The overview of a kind that brings none of its own: the published spec by its schema, and what is known of it.
import { useQuery } from "@tanstack/react-query";
import { workingCopyQuery } from "@/api/queries";
import { Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import { SpecTree } from "@/components/spec-tree";
import { SkeletonRows } from "@/components/ui/skeleton";
import type { TabProps } from "@/kinds/registry";

export function GenericOverview({ kind, resource }: TabProps) {
  const draft = useQuery({ ...workingCopyQuery(kind.plural, resource.name), enabled: !resource.spec });
  const spec = resource.spec ?? draft.data?.spec ?? null;
  return (
    <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1.7fr)_minmax(0,1fr)]">
      <Panel title="Spec" aside={resource.published ? `published revision r${resource.published.number}` : "working copy, not published"}>
        {spec ? (
          <SpecTree value={spec} schema={kind.schema} />
        ) : draft.isError ? (
          <Failure what="Could not read the working copy" error={draft.error} retry={() => void draft.refetch()} />
        ) : (
          <SkeletonRows rows={4} />
        )}
      </Panel>
      <Panel title="About">
        {resource.description || Object.keys(resource.labels).length > 0 || resource.tags.length > 0 ? (
          <div className="space-y-2 px-3.5 py-3">
            {resource.description ? <p>{resource.description}</p> : null}
            <p className="flex flex-wrap gap-1.5">
              {Object.entries(resource.labels).map(([key, value]) => (
                <span key={key} className="mono rounded bg-sunken px-1.5 text-ink2">
                  {key}:{value}
                </span>
              ))}
              {resource.tags.map((tag) => (
                <span key={tag} className="rounded bg-sunken px-1.5 text-xs text-ink2">
                  {tag}
                </span>
              ))}
            </p>
          </div>
        ) : (
          <Empty title="No description or labels">Write them under “Edit details…”, or in the document’s metadata.</Empty>
        )}
      </Panel>
    </div>
  );
}
