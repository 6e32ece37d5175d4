// Making a token, for oneself or for a service: what for, how long, how far; then the token, once.
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { MadeToken, TokenBody } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Field } from "@/components/field";
import { OnceDialog } from "@/components/once-dialog";
import { CommandLine } from "@/components/situation";
import { Input, NativeSelect } from "@/components/ui/input";
import { FRESH_TOKEN, TOKEN_LIVES, tokenBody, type TokenReach, type TypedToken } from "@/lib/token-form";

export function TokenDialog({
  title,
  effect,
  create,
  onMade,
  onClose,
}: {
  title: string;
  effect: ReactNode;
  create: (body: TokenBody) => Promise<MadeToken>;
  onMade: () => void;
  onClose: () => void;
}) {
  const [typed, setTyped] = useState<TypedToken>(FRESH_TOKEN);
  const body = tokenBody(typed);
  const make = useMutation({ mutationFn: create, onSuccess: onMade });
  const change = (part: Partial<TypedToken>) => setTyped((old) => ({ ...old, ...part }));
  if (make.data) {
    return (
      <OnceDialog title="The token" label="token" value={make.data.token} expiresAt={make.data.expires_at} onClose={onClose}>
        Send it as <CommandLine>Authorization: Bearer …</CommandLine>, or keep it where a program reads it.
      </OnceDialog>
    );
  }
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={title}
      effect={effect}
      confirm="Make token"
      pending={make.isPending}
      error={make.error}
      failed="The token was not made"
      blocked={!body}
      onConfirm={() => body && make.mutate(body)}
    >
      <Field label="What it is for">
        <Input value={typed.label} maxLength={120} required placeholder="laptop" onChange={(event) => change({ label: event.target.value })} />
      </Field>
      <Field label="How long it works">
        <NativeSelect value={typed.days} onChange={(event) => change({ days: Number(event.target.value) })}>
          {TOKEN_LIVES.map(([days, word]) => (
            <option key={days} value={days}>
              {word}
            </option>
          ))}
        </NativeSelect>
      </Field>
      <Field label="What it may do" hint="never more than its holder">
        <NativeSelect value={typed.reach} onChange={(event) => change({ reach: event.target.value as TokenReach })}>
          <option value="all">all that its holder may</option>
          <option value="read">only read</option>
          <option value="some">only these actions</option>
        </NativeSelect>
      </Field>
      {typed.reach === "some" ? (
        <Field
          label="Actions"
          hint="with commas: read, pipelines.run, jobs.*"
          wrong={typed.patterns.trim() && !body && typed.label.trim() ? "Each is an action, all of a plural (jobs.*), a verb of all (*.validate), or read." : null}
        >
          <Input value={typed.patterns} spellCheck={false} className="font-mono text-xs" onChange={(event) => change({ patterns: event.target.value })} />
        </Field>
      ) : null}
    </ConfirmDialog>
  );
}
