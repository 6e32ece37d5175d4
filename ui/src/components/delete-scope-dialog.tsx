// Deleting a tenant or a project with all that it has: a job, asked for with its name and a reason once one saw how much goes.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { scopeDelete } from "@/api/mutations";
import { deletionQuery } from "@/api/queries";
import { cn } from "@/lib/cn";
import { goneOf } from "@/lib/deletion";
import { refusalOf } from "@/lib/plan";
import { useJobMutation } from "@/lib/use-job";
import { ConfirmDialog } from "./confirm-dialog";
import { Field } from "./field";
import { Failure } from "./situation";
import { Input } from "./ui/input";
import { Skeleton } from "./ui/skeleton";

interface Props {
  of: "tenants" | "projects";
  name: string;
  onStarted: () => void;
  onClose: () => void;
}

export function DeleteScopeDialog({ of, name, onStarted, onClose }: Props) {
  const [typed, setTyped] = useState("");
  const word = of === "tenants" ? "tenant" : "project";
  const preview = useQuery(deletionQuery(of, name));
  const refused = preview.data ? refusalOf({ ...preview.data, needs_approval: false }) : null;
  const remove = useJobMutation<string>({
    start: (reason, key) => scopeDelete(of, name, reason, key),
    title: () => `delete the ${word} ${name}`,
    onStarted,
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Delete ${name}`}
      confirm={`Delete ${word}`}
      danger
      reason="required"
      pending={remove.isPending}
      error={remove.error}
      failed={`The ${word} was not deleted`}
      blocked={typed !== name || !preview.data || preview.data.needs_approval || refused !== null}
      onConfirm={(reason) => remove.mutate(reason)}
      effect={
        <>
          <p>
            Removes <b>{name}</b> with everything in it. <b>It cannot be undone.</b> The audit stays. Nobody gets in from then on.
          </p>
          <p>It is a job in the default project of {of === "tenants" ? "the default tenant" : "this tenant"}.</p>
        </>
      }
    >
      {preview.data ? (
        <dl aria-label="What goes" className="grid grid-cols-[repeat(auto-fill,minmax(7rem,1fr))] gap-x-4 gap-y-2 rounded-md border px-3.5 py-2.5">
          {goneOf(preview.data.plan).map(({ label, value, some }) => (
            <div key={label}>
              <dt className="text-xs text-ink3">{label}</dt>
              <dd className={cn(some ? "font-[560] text-ink" : "text-ink3")}>{value}</dd>
            </div>
          ))}
        </dl>
      ) : preview.isError ? (
        <Failure what={`The ${word} cannot be deleted`} error={preview.error} className="rounded-md border" />
      ) : (
        <Skeleton className="h-24" />
      )}
      {preview.data?.needs_approval ? <p className="text-warn">A change of this risk wants a second person here, and a deletion cannot be kept as a plan: it is refused.</p> : null}
      {refused ? <p className="text-warn">{refused}</p> : null}
      <Field label={`Type ${name} to confirm`}>
        <Input value={typed} autoComplete="off" autoCapitalize="none" spellCheck={false} onChange={(event) => setTyped(event.target.value)} />
      </Field>
    </ConfirmDialog>
  );
}
