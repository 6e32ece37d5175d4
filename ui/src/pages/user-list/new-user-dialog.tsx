// Making a person, who then gets an invitation that is shown once, or a service.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { userCreate } from "@/api/mutations";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Field } from "@/components/field";
import { Input, NativeSelect } from "@/components/ui/input";
import { isName, NAME_MAX, NAME_RULE } from "@/lib/name";
import { InvitationDialog } from "@/pages/user/invitation-dialog";

export function NewUserDialog({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [displayName, setDisplayName] = useState("");
  const [service, setService] = useState(false);
  const make = useMutation({
    mutationFn: userCreate,
    onSuccess: ({ user }) => {
      void client.invalidateQueries({ queryKey: ["users"] });
      // A service has nothing to be told once: its page makes its tokens.
      if (user.kind === "service") void navigate({ to: "/users/$name", params: { name: user.name } });
    },
  });
  if (make.data?.invitation) return <InvitationDialog name={make.data.user.name} invitation={make.data.invitation} onClose={onClose} />;
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={service ? "New service" : "New person"}
      effect={
        service ? (
          <p>Makes an account for a program. It calls with tokens, which its page makes.</p>
        ) : (
          <p>Makes an account and an invitation: a link with which its holder chooses a password. It may do nothing until a role is granted.</p>
        )
      }
      confirm={service ? "Make service" : "Make person"}
      pending={make.isPending}
      error={make.error}
      failed="The account was not made"
      blocked={!isName(name)}
      onConfirm={() => make.mutate({ name, display_name: displayName.trim(), service })}
    >
      <Field label="Kind">
        <NativeSelect value={service ? "service" : "person"} onChange={(event) => setService(event.target.value === "service")}>
          <option value="person">Person, who signs in</option>
          <option value="service">Service, which calls with tokens</option>
        </NativeSelect>
      </Field>
      <Field label="Name" hint="it signs in and is granted roles under this name" wrong={name && !isName(name) ? NAME_RULE : null}>
        <Input value={name} required maxLength={NAME_MAX} autoCapitalize="none" autoComplete="off" spellCheck={false} onChange={(event) => setName(event.target.value.trim())} />
      </Field>
      <Field label="Display name" hint="optional">
        <Input value={displayName} maxLength={120} autoComplete="off" onChange={(event) => setDisplayName(event.target.value)} />
      </Field>
    </ConfirmDialog>
  );
}
