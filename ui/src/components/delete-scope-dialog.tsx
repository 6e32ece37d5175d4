// Deleting a tenant or a project with all that it has: a job, asked for with its name and a reason.
import { useState } from "react";
import { scopeDelete } from "@/api/mutations";
import { useJobMutation } from "@/lib/use-job";
import { ConfirmDialog } from "./confirm-dialog";
import { Field } from "./field";
import { Input } from "./ui/input";

interface Props {
  of: "tenants" | "projects";
  name: string;
  onStarted: () => void;
  onClose: () => void;
}

export function DeleteScopeDialog({ of, name, onStarted, onClose }: Props) {
  const [typed, setTyped] = useState("");
  const word = of === "tenants" ? "tenant" : "project";
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
      blocked={typed !== name}
      onConfirm={(reason) => remove.mutate(reason)}
      effect={
        <>
          <p>
            Removes <b>{name}</b> with everything in it: resources, revisions, runs, logs, secrets. <b>It cannot be undone.</b> The audit stays. Nobody gets in from now on.
          </p>
          <p>It is a job in the default project of {of === "tenants" ? "the default tenant" : "this tenant"}.</p>
        </>
      }
    >
      <Field label={`Type ${name} to confirm`}>
        <Input value={typed} autoComplete="off" autoCapitalize="none" spellCheck={false} onChange={(event) => setTyped(event.target.value)} />
      </Field>
    </ConfirmDialog>
  );
}
