// A new connection by a form: made and published in one job, so that it can be tested and used.
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useMay } from "@/access/may";
import { ApiError } from "@/api/error";
import { documentsApply } from "@/api/mutations";
import { Field } from "@/components/field";
import { Panel } from "@/components/panel";
import { Failure } from "@/components/situation";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import type { NewFormProps } from "@/kinds/registry";
import { isName, NAME_MAX, NAME_RULE } from "@/lib/name";
import { useJobMutation } from "@/lib/use-job";
import { queryClient } from "@/query-client";
import { ConnectionForm, useConnectionForm } from "./form";

export default function NewConnectionForm({ kind }: NewFormProps) {
  const navigate = useNavigate();
  const may = useMay();
  const [name, setName] = useState("");
  const [told, setTold] = useState(false);
  const state = useConnectionForm(kind);
  const make = useJobMutation({
    start: (documents: Parameters<typeof documentsApply>[0], key) => documentsApply(documents, key),
    title: () => `publish ${name}`,
    onStarted: () => {
      void queryClient.invalidateQueries({ queryKey: ["resources", kind.plural] });
      void navigate({ to: "/$plural/$name", params: { plural: kind.plural, name }, search: {} });
    },
  });
  const violations = make.error instanceof ApiError ? make.error.violations.map((each) => ({ ...each, pointer: each.pointer.replace(/^\/documents\/0/, "") })) : [];
  const ready = isName(name) && state.wrong.length === 0;
  return (
    <Panel title="Form" aside="the fields of the chosen type">
      <form
        className="max-w-2xl space-y-3.5 px-3.5 py-3.5"
        onSubmit={(event) => {
          event.preventDefault();
          setTold(true);
          if (ready && !make.isPending) make.mutate([{ apiVersion: "quarterdeck/v1", kind: kind.kind, metadata: { name }, spec: state.spec }]);
        }}
      >
        <Field label="Name" hint="specs refer to it by this name" wrong={(name || told) && !isName(name) ? NAME_RULE : null}>
          <Input value={name} maxLength={NAME_MAX} autoCapitalize="none" autoComplete="off" spellCheck={false} onChange={(event) => setName(event.target.value.trim())} />
        </Field>
        <ConnectionForm name={name} state={state} violations={violations} told={told} />
        {make.isError ? <Failure what="The connection was not made" error={make.error} className="rounded-md border" /> : null}
        <div className="flex flex-wrap items-center gap-3">
          <Button type="submit" variant="primary" disabled={make.isPending || !may("documents.apply")}>
            {make.isPending ? "Sending…" : "Create and publish"}
          </Button>
          <span className="text-ink2">{may("documents.apply") ? "It can be tested as soon as it is there." : "You may not apply documents: write it as a document."}</span>
        </div>
      </form>
    </Panel>
  );
}
