// The projects of the tenant that one works in.
import { useInfiniteQuery, useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useMemo, useState } from "react";
import { useMay } from "@/access/may";
import { projectCreate, projectUpdate } from "@/api/mutations";
import { meQuery, projectsQuery } from "@/api/queries";
import { goToScope, prefixOf } from "@/api/scope";
import type { ProjectInfo, ProjectPatch } from "@/api/types";
import { columnsFor, DataTable } from "@/components/data-table";
import { DeleteScopeDialog } from "@/components/delete-scope-dialog";
import { NamedDialog } from "@/components/named-dialog";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { QuotasDialog } from "@/components/quotas-dialog";
import { RowActions } from "@/components/row-actions";
import { CommandLine, Empty } from "@/components/situation";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { ReviewModeDialog, ReviewState } from "./review-mode";

const column = columnsFor<ProjectInfo>();

export default function ProjectListPage() {
  const may = useMay();
  const { tenant, project } = useSuspenseQuery(meQuery).data;
  const query = useInfiniteQuery(projectsQuery());
  const [making, setMaking] = useState(false);
  const [renaming, setRenaming] = useState<ProjectInfo | null>(null);
  const [limited, setLimited] = useState<ProjectInfo | null>(null);
  const [deleting, setDeleting] = useState<ProjectInfo | null>(null);
  const [reviewed, setReviewed] = useState<ProjectInfo | null>(null);
  const mayDelete = may("projects.delete", "tenant");
  const maySeeQuotas = may("quotas.read", "tenant");
  const mayUpdate = may("projects.update", "tenant");
  const columns = useMemo(
    () => [
      column.display({
        id: "name",
        header: "Name",
        cell: ({ row: { original: each } }) => (
          <div className="sm:min-w-32">
            {/* Another project is another console: its address loads anew. */}
            <a href={`${prefixOf({ tenant: tenant.name, project: each.name })}/`} className="link hit-text font-[540]">
              {each.name}
            </a>
            {each.id === project.id ? <span className="ml-2 text-xs text-ink3">you are here</span> : null}
            {each.display_name && each.display_name !== each.name ? <div className="line-clamp-1 text-ink2">{each.display_name}</div> : null}
            <div className="sm:hidden">
              <ReviewState project={each} />
            </div>
          </div>
        ),
      }),
      column.display({ id: "review", header: "Review", meta: { from: "sm" }, cell: ({ row }) => <ReviewState project={row.original} /> }),
      column.display({
        id: "created",
        header: "Made",
        meta: { from: "md", className: "whitespace-nowrap" },
        cell: ({ row }) => <Ago at={row.original.created_at} className="text-ink2" />,
      }),
      column.display({
        id: "actions",
        header: () => <span className="sr-only">Actions</span>,
        meta: { align: "right" },
        cell: ({ row: { original: each } }) => (
          <RowActions
            of={each.name}
            actions={[
              ...(maySeeQuotas ? [{ label: "Quotas…", name: `Quotas of ${each.name}`, onSelect: () => setLimited(each) }] : []),
              ...(mayUpdate
                ? [
                    { label: "Review…", name: `Review in ${each.name}`, onSelect: () => setReviewed(each) },
                    { label: "Rename…", name: `Rename ${each.name}`, onSelect: () => setRenaming(each) },
                  ]
                : []),
              ...(mayDelete && each.name !== "default" ? [{ label: "Delete…", name: `Delete ${each.name}`, danger: true, onSelect: () => setDeleting(each) }] : []),
            ]}
          />
        ),
      }),
    ],
    [tenant.name, project.id, mayUpdate, mayDelete, maySeeQuotas],
  );
  const create = may("projects.create", "tenant") ? (
    <Button variant="primary" onClick={() => setMaking(true)}>
      <Plus aria-hidden />
      New project…
    </Button>
  ) : null;
  return (
    <>
      <PageHeader title="Projects" documentTitle="Projects" note={<span className="text-ink2">of {tenant.name}</span>} actions={create} />
      <Panel>
        <DataTable
          label="Projects"
          noun="project"
          columns={columns}
          query={query}
          rowKey={(each) => each.id}
          empty={
            <Empty title="No projects" action={create}>
              Make one here, or with <CommandLine>qd projects create NAME</CommandLine>.
            </Empty>
          }
        />
      </Panel>
      {making ? <CreateDialog onClose={() => setMaking(false)} /> : null}
      {limited ? <QuotasDialog of="projects" name={limited.name} mayLimit={may("projects.limit", "tenant")} onClose={() => setLimited(null)} /> : null}
      {reviewed ? <ReviewModeDialog project={reviewed} onClose={() => setReviewed(null)} /> : null}
      {deleting ? <DeleteDialog project={deleting} tenant={tenant.name} here={deleting.id === project.id} onClose={() => setDeleting(null)} /> : null}
      {renaming ? <RenameDialog project={renaming} tenant={tenant.name} here={renaming.id === project.id} onClose={() => setRenaming(null)} /> : null}
    </>
  );
}

function CreateDialog({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const make = useMutation({
    mutationFn: projectCreate,
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["projects"] });
      onClose();
    },
  });
  return (
    <NamedDialog
      title="New project"
      effect={<p>Makes an empty project. Whoever holds a role in the whole tenant has it there too; others are granted one in the project.</p>}
      confirm="Make project"
      pending={make.isPending}
      error={make.error}
      failed="The project was not made"
      onConfirm={(named) => make.mutate(named)}
      onClose={onClose}
    />
  );
}

function DeleteDialog({ project, tenant, here, onClose }: { project: ProjectInfo; tenant: string; here: boolean; onClose: () => void }) {
  const client = useQueryClient();
  const started = () => {
    // Nobody stays in what is being deleted.
    if (here) goToScope({ tenant });
    else {
      void client.invalidateQueries({ queryKey: ["projects"] });
      onClose();
    }
  };
  return <DeleteScopeDialog of="projects" name={project.name} onStarted={started} onClose={onClose} />;
}

function RenameDialog({ project, tenant, here, onClose }: { project: ProjectInfo; tenant: string; here: boolean; onClose: () => void }) {
  const client = useQueryClient();
  const rename = useMutation({
    mutationFn: (patch: ProjectPatch) => projectUpdate(project.name, patch, project.version),
    onSuccess: (renamed) => {
      // The address that one works under names the project.
      if (here && renamed.name !== project.name) goToScope({ tenant, project: renamed.name });
      else {
        void client.invalidateQueries({ queryKey: ["projects"] });
        onClose();
      }
    },
  });
  return (
    <NamedDialog
      title={`Rename ${project.name}`}
      given={project}
      effect={<p>Everything of the project stays where it is. Addresses, contexts and headers that name it by the old name no longer find it.</p>}
      confirm="Rename"
      pending={rename.isPending}
      error={rename.error}
      failed="The project was not renamed"
      onConfirm={(named) => rename.mutate(named)}
      onClose={onClose}
    />
  );
}
