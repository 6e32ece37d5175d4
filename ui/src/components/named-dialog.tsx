// Making or renaming a thing that has a name and a name for people: a tenant, a project, a team.
import { type ReactNode, useState } from "react";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Field } from "@/components/field";
import { Input } from "@/components/ui/input";
import { isName, NAME_MAX, NAME_RULE } from "@/lib/name";

export function NamedDialog({
  title,
  effect,
  confirm,
  given,
  pending,
  error,
  failed,
  onConfirm,
  onClose,
}: {
  title: string;
  effect: ReactNode;
  confirm: string;
  given?: { name: string; display_name: string };
  pending: boolean;
  error: unknown;
  failed: string;
  onConfirm: (named: { name: string; display_name: string }) => void;
  onClose: () => void;
}) {
  const [name, setName] = useState(given?.name ?? "");
  const [displayName, setDisplayName] = useState(given?.display_name ?? "");
  const fixed = given?.name === "default";
  const same = given && given.name === name && given.display_name === displayName.trim();
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={title}
      effect={effect}
      confirm={confirm}
      pending={pending}
      error={error}
      failed={failed}
      blocked={!isName(name) || same}
      onConfirm={() => onConfirm({ name, display_name: displayName.trim() })}
    >
      <Field label="Name" hint={fixed ? "the default one keeps it" : "as in addresses and commands"} wrong={name && !isName(name) ? NAME_RULE : null}>
        <Input value={name} required readOnly={fixed} maxLength={NAME_MAX} autoCapitalize="none" autoComplete="off" spellCheck={false} onChange={(event) => setName(event.target.value.trim())} />
      </Field>
      <Field label="Display name" hint="optional">
        <Input value={displayName} maxLength={120} autoComplete="off" onChange={(event) => setDisplayName(event.target.value)} />
      </Field>
    </ConfirmDialog>
  );
}
