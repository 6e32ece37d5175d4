// Writing a secret. What is typed goes out with the request and stays nowhere in this page: neither in the cache nor in the form.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { secretWrite } from "@/api/mutations";
import type { SecretInfo } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Field } from "@/components/field";
import { Input, Textarea } from "@/components/ui/input";
import { isSecretPath, SECRET_PATH_RULE } from "@/lib/secret-path";
import { Switch } from "@/components/ui/switch";

export function WriteSecretDialog({
  secret,
  path: given,
  onWritten,
  onClose,
}: {
  /** The secret whose next version is written; none for a new one. */
  secret?: SecretInfo;
  /** The path that a new one is offered. */
  path?: string;
  onWritten?: (secret: SecretInfo) => void;
  onClose: () => void;
}) {
  const client = useQueryClient();
  const [path, setPath] = useState(secret?.path ?? given ?? "");
  const [value, setValue] = useState("");
  const [long, setLong] = useState(false);
  const lines = useId();
  const write = useMutation({
    mutationFn: () => secretWrite(path, value),
    // Nothing of a finished request is kept.
    gcTime: 0,
    onSuccess: (written) => {
      setValue("");
      void client.invalidateQueries({ queryKey: ["secrets"] });
      void client.invalidateQueries({ queryKey: ["secret-keys"] });
      onWritten?.(written);
      onClose();
    },
  });
  const control = {
    value,
    required: true,
    autoComplete: "off",
    spellCheck: false,
    "data-1p-ignore": true,
  };
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={secret ? `Replace ${secret.path}` : "Write a secret"}
      confirm={secret ? `Write version ${secret.version + 1}` : "Write secret"}
      pending={write.isPending}
      error={write.error}
      failed="The secret was not written"
      blocked={!isSecretPath(path) || value === ""}
      onConfirm={() => write.mutate()}
      effect={
        secret ? (
          <p>
            Writes a new version, which every reference without a version uses from its next use on. Older versions stay. The value is <b>never shown again</b>, here or anywhere.
          </p>
        ) : (
          <p>
            Seals the value at a path of this project. It is <b>never shown again</b>, here or anywhere: it can be replaced and removed. If the path is taken, this is its next version.
          </p>
        )
      }
    >
      <Field label="Path" hint={secret ? null : "as warehouse/password"} wrong={path && !isSecretPath(path) ? SECRET_PATH_RULE : null}>
        <Input value={path} required readOnly={Boolean(secret)} spellCheck={false} autoComplete="off" className="font-mono text-xs" onChange={(event) => setPath(event.target.value.trim())} />
      </Field>
      <Field label="Value" hint="1 to 65,536 bytes of text">
        {long ? (
          <Textarea {...control} rows={6} className="font-mono text-xs" onChange={(event) => setValue(event.target.value)} />
        ) : (
          <Input {...control} type="password" autoComplete="new-password" onChange={(event) => setValue(event.target.value)} />
        )}
      </Field>
      <div className="hit flex w-fit items-center gap-2 text-ink2">
        <Switch
          id={lines}
          checked={long}
          onCheckedChange={(several) => {
            setLong(several);
            // A field of one line would join the lines unseen.
            if (!several) setValue("");
          }}
        />
        <label htmlFor={lines}>Several lines, shown while typed</label>
      </div>
    </ConfirmDialog>
  );
}
