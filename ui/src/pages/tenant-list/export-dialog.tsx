// All that a tenant has as one archive: made by a job, and fetched from here while it is kept.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { useRef } from "react";
import { apiUrl, newIdempotencyKey, segment } from "@/api/client";
import { tenantExport } from "@/api/mutations";
import { exportsQuery } from "@/api/queries";
import type { TenantExport } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { Skeleton } from "@/components/ui/skeleton";
import { bytes } from "@/lib/format";

export function ExportDialog({ tenant, onClose }: { tenant: string; onClose: () => void }) {
  const client = useQueryClient();
  const query = useQuery(exportsQuery(tenant));
  // One key for an intent: pressing again after a lost answer starts nothing twice.
  const key = useRef<{ of: string; key: string } | null>(null);
  const start = useMutation({
    mutationFn: (reason: string) => {
      if (key.current?.of !== reason) key.current = { of: reason, key: newIdempotencyKey() };
      return tenantExport(tenant, reason, key.current.key);
    },
    onSuccess: () => {
      key.current = null;
      return client.invalidateQueries({ queryKey: ["exports", tenant] });
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Export ${tenant}`}
      confirm="Make an archive"
      reason="optional"
      pending={start.isPending}
      error={start.error}
      failed="The export was not started"
      onConfirm={(reason) => start.mutate(reason)}
      effect={
        <p>
          Writes the projects, resources, revisions, runs, jobs and the audit of <b>{tenant}</b> to an archive, which is kept for a week. Of its secrets only the names. Each
          download is recorded.
        </p>
      }
    >
      {query.isPending ? (
        <Skeleton className="h-9" />
      ) : query.isError ? (
        <Failure what="Could not read the exports" error={query.error} retry={() => void query.refetch()} className="rounded-md border" />
      ) : query.data.items.length > 0 ? (
        <ul aria-label={`Exports of ${tenant}`} className="divide-y rounded-md border">
          {query.data.items.map((each) => (
            <ExportRow key={each.id} tenant={tenant} export={each} />
          ))}
        </ul>
      ) : null}
    </ConfirmDialog>
  );
}

function ExportRow({ tenant, export: each }: { tenant: string; export: TenantExport }) {
  const why = each.error?.message ?? (each.state === "preparing" ? each.waiting_for : null);
  return (
    <li className="flex flex-wrap items-center gap-x-3 gap-y-1 px-3 py-2">
      <State state={each.state} />
      <Ago at={each.created_at} className="text-ink2" />
      {each.project ? <span className="text-ink2">project {each.project}</span> : null}
      {why ? <span className="min-w-0 text-xs text-ink2">{why}</span> : null}
      {each.state === "ready" ? (
        <span className="ml-auto flex items-center gap-3">
          <span className="text-ink2">{bytes(each.bytes)}</span>
          <Button asChild size="sm">
            <a href={apiUrl(`/tenants/${segment(tenant)}/exports/${segment(each.id)}/archive`)} download>
              <Download aria-hidden />
              Download
            </a>
          </Button>
        </span>
      ) : null}
    </li>
  );
}
