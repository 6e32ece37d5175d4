// The tenants that one may know of: made, renamed, suspended, let in again, exported and deleted by whoever administers the platform.
import { useInfiniteQuery, useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useCallback, useMemo, useState } from "react";
import { useMay } from "@/access/may";
import { tenantCreate, tenantUpdate } from "@/api/mutations";
import { meQuery, tenantsQuery } from "@/api/queries";
import { goToScope, prefixOf } from "@/api/scope";
import type { TenantInfo, TenantPatch } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { columnsFor, DataTable } from "@/components/data-table";
import { DeleteScopeDialog } from "@/components/delete-scope-dialog";
import { NamedDialog } from "@/components/named-dialog";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { RowActions } from "@/components/row-actions";
import { CommandLine, Empty } from "@/components/situation";
import { QuotasDialog } from "@/components/quotas-dialog";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { ExportDialog } from "./export-dialog";

const column = columnsFor<TenantInfo>();
type Action = { verb: "rename" | "state" | "quotas" | "export" | "delete"; tenant: TenantInfo };

function useColumns(here: string, mayUpdate: boolean, maySeeQuotas: boolean, mayExport: (tenant: TenantInfo) => boolean, mayDelete: boolean, onAction: (action: Action) => void) {
  return useMemo(
    () => [
      column.display({
        id: "name",
        header: "Name",
        cell: ({ row: { original: tenant } }) => (
          <div className="sm:min-w-32">
            {/* Another tenant is another console: its address loads anew. */}
            <a href={`${prefixOf({ tenant: tenant.name })}/`} className="link hit-text font-[540]">
              {tenant.name}
            </a>
            {tenant.id === here ? <span className="ml-2 text-xs text-ink3">you are here</span> : null}
            {tenant.display_name && tenant.display_name !== tenant.name ? <div className="line-clamp-1 text-ink2">{tenant.display_name}</div> : null}
          </div>
        ),
      }),
      column.display({
        id: "state",
        header: "State",
        cell: ({ row }) => <State state={row.original.state} tone={row.original.state === "suspended" ? "bad" : undefined} />,
      }),
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
        cell: ({ row: { original: tenant } }) => (
          <RowActions
            of={tenant.name}
            actions={[
              ...(maySeeQuotas ? [{ label: "Quotas…", name: `Quotas of ${tenant.name}`, onSelect: () => onAction({ verb: "quotas", tenant }) }] : []),
              ...(mayExport(tenant) ? [{ label: "Export…", name: `Export ${tenant.name}`, onSelect: () => onAction({ verb: "export", tenant }) }] : []),
              ...(mayUpdate ? [{ label: "Rename…", name: `Rename ${tenant.name}`, onSelect: () => onAction({ verb: "rename", tenant }) }] : []),
              ...(mayUpdate && tenant.state === "suspended" ? [{ label: "Resume…", name: `Resume ${tenant.name}`, onSelect: () => onAction({ verb: "state", tenant }) }] : []),
              ...(mayUpdate && tenant.state !== "suspended" && tenant.name !== "default"
                ? [{ label: "Suspend…", name: `Suspend ${tenant.name}`, danger: true, onSelect: () => onAction({ verb: "state", tenant }) }]
                : []),
              ...(mayDelete && tenant.state === "suspended" ? [{ label: "Delete…", name: `Delete ${tenant.name}`, danger: true, onSelect: () => onAction({ verb: "delete", tenant }) }] : []),
            ]}
          />
        ),
      }),
    ],
    [here, mayUpdate, maySeeQuotas, mayExport, mayDelete, onAction],
  );
}

export default function TenantListPage() {
  const may = useMay();
  const me = useSuspenseQuery(meQuery).data;
  const query = useInfiniteQuery(tenantsQuery());
  const [making, setMaking] = useState(false);
  const [action, setAction] = useState<Action | null>(null);
  // Of the tenant that one works in, also who administers that one alone.
  const mayExport = useCallback(
    (tenant: TenantInfo) => may("tenants.export", "platform") || (tenant.id === me.tenant.id && may("tenants.export", "tenant")),
    [may, me.tenant.id],
  );
  const columns = useColumns(me.tenant.id, may("tenants.update", "platform"), may("quotas.read", "platform"), mayExport, may("tenants.delete", "platform"), setAction);
  const create = may("tenants.create", "platform") ? (
    <Button variant="primary" onClick={() => setMaking(true)}>
      <Plus aria-hidden />
      New tenant…
    </Button>
  ) : null;
  return (
    <>
      <PageHeader title="Tenants" documentTitle="Tenants" note={<span className="text-ink2">nothing of one is seen from another</span>} actions={create} />
      <Panel>
        <DataTable
          label="Tenants"
          noun="tenant"
          columns={columns}
          query={query}
          rowKey={(tenant) => tenant.id}
          empty={
            <Empty title="No tenants" action={create}>
              Make one here, or with <CommandLine>qd tenants create NAME</CommandLine>.
            </Empty>
          }
        />
      </Panel>
      {making ? <CreateDialog onClose={() => setMaking(false)} /> : null}
      {action?.verb === "rename" ? <RenameDialog tenant={action.tenant} here={action.tenant.id === me.tenant.id} onClose={() => setAction(null)} /> : null}
      {action?.verb === "quotas" ? <QuotasDialog of="tenants" name={action.tenant.name} mayLimit={may("tenants.limit", "platform")} onClose={() => setAction(null)} /> : null}
      {action?.verb === "export" ? <ExportDialog tenant={action.tenant.name} onClose={() => setAction(null)} /> : null}
      {action?.verb === "delete" ? <DeleteDialog tenant={action.tenant} here={action.tenant.id === me.tenant.id} onClose={() => setAction(null)} /> : null}
      {action?.verb === "state" ? <StateDialog tenant={action.tenant} onClose={() => setAction(null)} /> : null}
    </>
  );
}

function DeleteDialog({ tenant, here, onClose }: { tenant: TenantInfo; here: boolean; onClose: () => void }) {
  const refresh = useRefresh();
  const started = () => {
    // Nobody stays in what is being deleted.
    if (here) goToScope({ tenant: "default" });
    else {
      refresh();
      onClose();
    }
  };
  return <DeleteScopeDialog of="tenants" name={tenant.name} onStarted={started} onClose={onClose} />;
}

function useRefresh(): () => void {
  const client = useQueryClient();
  return () => void client.invalidateQueries({ queryKey: ["tenants"] });
}

function CreateDialog({ onClose }: { onClose: () => void }) {
  const refresh = useRefresh();
  const make = useMutation({
    mutationFn: tenantCreate,
    onSuccess: () => {
      refresh();
      onClose();
    },
  });
  return (
    <NamedDialog
      title="New tenant"
      effect={<p>Makes a tenant with a project named default. Whoever is to work there is granted a role under its Members.</p>}
      confirm="Make tenant"
      pending={make.isPending}
      error={make.error}
      failed="The tenant was not made"
      onConfirm={(named) => make.mutate(named)}
      onClose={onClose}
    />
  );
}

function RenameDialog({ tenant, here, onClose }: { tenant: TenantInfo; here: boolean; onClose: () => void }) {
  const refresh = useRefresh();
  const rename = useMutation({
    mutationFn: (patch: TenantPatch) => tenantUpdate(tenant.name, patch, tenant.version),
    onSuccess: (renamed) => {
      // The address that one works under names the tenant.
      if (here && renamed.name !== tenant.name) goToScope({ tenant: renamed.name });
      else {
        refresh();
        onClose();
      }
    },
  });
  return (
    <NamedDialog
      title={`Rename ${tenant.name}`}
      given={tenant}
      effect={<p>Everything of the tenant stays where it is. Addresses, contexts and headers that name it by the old name no longer find it.</p>}
      confirm="Rename"
      pending={rename.isPending}
      error={rename.error}
      failed="The tenant was not renamed"
      onConfirm={(named) => rename.mutate(named)}
      onClose={onClose}
    />
  );
}

function StateDialog({ tenant, onClose }: { tenant: TenantInfo; onClose: () => void }) {
  const refresh = useRefresh();
  const suspended = tenant.state === "suspended";
  const update = useMutation({
    mutationFn: () => tenantUpdate(tenant.name, { state: suspended ? "active" : "suspended" }, tenant.version),
    onSuccess: () => {
      refresh();
      onClose();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={suspended ? `Resume ${tenant.name}` : `Suspend ${tenant.name}`}
      confirm={suspended ? "Resume tenant" : "Suspend tenant"}
      danger={!suspended}
      pending={update.isPending}
      error={update.error}
      failed={suspended ? "The tenant stays suspended" : "The tenant was not suspended"}
      onConfirm={() => update.mutate()}
      effect={
        suspended ? (
          <p>
            Those who hold roles in <b>{tenant.name}</b> get in again.
          </p>
        ) : (
          <p>
            Closes <b>{tenant.name}</b> to all but those who hold a role on the platform. Everything is kept, and runs go on.
          </p>
        )
      }
    />
  );
}
