// The secrets of the project by their paths: which version, who wrote it when, what refers to it. No value is ever read.
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { useMemo, useState } from "react";
import { type May, useMay } from "@/access/may";
import { secretDelete } from "@/api/mutations";
import { secretsQuery } from "@/api/queries";
import type { SecretInfo } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Id } from "@/components/copy";
import { columnsFor, DataTable } from "@/components/data-table";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { RowActions } from "@/components/row-actions";
import { CommandLine, Empty } from "@/components/situation";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { usePluralOf } from "@/kinds/access";
import { plural as counted } from "@/lib/format";
import { KeysPanel } from "./keys-panel";
import { WriteSecretDialog } from "./write-dialog";

const column = columnsFor<SecretInfo>();
type Action = { verb: "write" | "delete"; secret: SecretInfo };

function UsedBy({ secret }: { secret: SecretInfo }) {
  const pluralOf = usePluralOf();
  if (secret.referred_by.length === 0) return <span className="text-ink3">nothing published</span>;
  return (
    <ul>
      {secret.referred_by.map((place) => {
        const plural = pluralOf(place.kind);
        return (
          <li key={`${place.kind}/${place.name}${place.pointer}`} className="flex flex-wrap items-baseline gap-x-1.5">
            {plural ? (
              <Link to="/$plural/$name" params={{ plural, name: place.name }} search={{}} className="link">
                {place.name}
              </Link>
            ) : (
              place.name
            )}
            <code className="mono text-ink3">{place.pointer}</code>
            {place.version === null ? null : <span className="text-xs text-warn">version {place.version}</span>}
          </li>
        );
      })}
    </ul>
  );
}

function useColumns(may: May, onAction: (action: Action) => void) {
  return useMemo(
    () => [
      column.display({
        id: "path",
        header: "Path",
        cell: ({ row: { original: secret } }) => (
          <>
            <Id id={`secret://${secret.path}`} label="reference" full className="!text-ink" />
            <div className="text-xs text-ink3 sm:hidden">
              version {secret.version}, <Ago at={secret.updated_at} />
            </div>
          </>
        ),
      }),
      column.display({ id: "version", header: "Version", meta: { align: "right", from: "sm" }, cell: ({ row }) => row.original.version }),
      column.display({
        id: "written",
        header: "Written",
        meta: { from: "sm", className: "whitespace-nowrap" },
        cell: ({ row: { original: secret } }) => (
          <span className="text-ink2">
            by {secret.updated_by} <Ago at={secret.updated_at} />
          </span>
        ),
      }),
      column.display({ id: "used", header: "Used by", meta: { from: "md" }, cell: ({ row }) => <UsedBy secret={row.original} /> }),
      column.display({
        id: "actions",
        header: () => <span className="sr-only">Actions</span>,
        meta: { align: "right" },
        cell: ({ row: { original: secret } }) => (
          <RowActions
            of={secret.path}
            actions={[
              ...(may("secrets.write") ? [{ label: "Replace…", name: `Replace ${secret.path}`, onSelect: () => onAction({ verb: "write", secret }) }] : []),
              ...(may("secrets.delete") ? [{ label: "Delete…", name: `Delete ${secret.path}`, danger: true, onSelect: () => onAction({ verb: "delete", secret }) }] : []),
            ]}
          />
        ),
      }),
    ],
    [may, onAction],
  );
}

export default function SecretListPage() {
  const may = useMay();
  const query = useInfiniteQuery(secretsQuery());
  const [writing, setWriting] = useState(false);
  const [action, setAction] = useState<Action | null>(null);
  const columns = useColumns(may, setAction);
  const write = may("secrets.write") ? (
    <Button variant="primary" onClick={() => setWriting(true)}>
      <Plus aria-hidden />
      Write a secret…
    </Button>
  ) : null;
  return (
    <>
      <PageHeader title="Secrets" documentTitle="Secrets" note={<span className="text-ink2">they go in and do not come out</span>} actions={write} />
      <div className="grid gap-3.5">
        <Panel>
          <DataTable
            label="Secrets"
            noun="secret"
            columns={columns}
            query={query}
            rowKey={(secret) => secret.path}
            empty={
              <Empty title="No secrets yet" action={write}>
                A connection refers to one by its path, as <code className="mono">secret://warehouse/password</code>. On a command line: <CommandLine>qd secrets set warehouse/password</CommandLine>
              </Empty>
            }
          />
        </Panel>
        {may("secrets.read") ? <KeysPanel /> : null}
      </div>
      {writing ? <WriteSecretDialog onClose={() => setWriting(false)} /> : null}
      {action?.verb === "write" ? <WriteSecretDialog secret={action.secret} onClose={() => setAction(null)} /> : null}
      {action?.verb === "delete" ? <DeleteDialog secret={action.secret} onClose={() => setAction(null)} /> : null}
    </>
  );
}

function DeleteDialog({ secret, onClose }: { secret: SecretInfo; onClose: () => void }) {
  const client = useQueryClient();
  const used = secret.referred_by.length;
  const remove = useMutation({
    mutationFn: (reason: string) => secretDelete(secret.path, reason),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["secrets"] });
      onClose();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Delete ${secret.path}`}
      confirm="Delete secret"
      danger
      reason="required"
      reasonNote="(kept in the audit)"
      pending={remove.isPending}
      error={remove.error}
      failed="The secret was not deleted"
      onConfirm={(reason) => remove.mutate(reason)}
      effect={
        <>
          <p>
            Removes {counted(secret.version, "version")} for good: nobody can bring the value back.
          </p>
          {used > 0 ? (
            <p className="!text-warn">
              {counted(used, "place")} of what is published {used === 1 ? "refers" : "refer"} to it, and as long as that is so it is refused.
            </p>
          ) : null}
        </>
      }
    />
  );
}
