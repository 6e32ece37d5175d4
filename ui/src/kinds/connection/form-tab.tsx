// A connection's working copy as a form. It is saved on demand, and published from here or from the YAML tab.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useMayOn } from "@/access/may";
import { ApiError } from "@/api/error";
import { workingCopySave } from "@/api/mutations";
import { workingCopyQuery } from "@/api/queries";
import type { JsonObject, WorkingCopy } from "@/api/types";
import { ChangeList } from "@/components/change-list";
import { Panel } from "@/components/panel";
import { PublishWorkingCopyDialog } from "@/components/publish-dialogs";
import { Empty, Failure } from "@/components/situation";
import { Button } from "@/components/ui/button";
import { SkeletonRows } from "@/components/ui/skeleton";
import type { TabProps } from "@/kinds/registry";
import { changesBetween, writtenLike } from "@/lib/diff";
import { ConnectionForm, useConnectionForm } from "./form";

export default function FormTab(props: TabProps) {
  const { kind, resource } = props;
  const query = useQuery(workingCopyQuery(kind.plural, resource.name));
  if (query.isPending) {
    return (
      <Panel>
        <SkeletonRows rows={6} />
      </Panel>
    );
  }
  if (!query.data) {
    return (
      <Panel>
        <Failure what="Could not read the working copy" error={query.error} retry={() => void query.refetch()} />
      </Panel>
    );
  }
  return <Editor key={query.data.version} copy={query.data} {...props} />;
}

function Editor({ kind, resource, copy }: TabProps & { copy: WorkingCopy }) {
  const client = useQueryClient();
  const mayDo = useMayOn(kind.plural, resource.name);
  const [told, setTold] = useState(false);
  const [publishing, setPublishing] = useState(false);
  const state = useConnectionForm(kind, copy.spec);
  const save = useMutation({
    mutationFn: (spec: JsonObject) => workingCopySave(kind.plural, resource.name, spec, copy.version),
    onSuccess: (saved) => {
      client.setQueryData(workingCopyQuery(kind.plural, resource.name).queryKey, saved);
      void client.invalidateQueries({ queryKey: ["resource", kind.plural, resource.name] });
    },
  });
  const editable = mayDo("edit") && resource.state !== "archived";
  const violations = save.error instanceof ApiError ? save.error.violations : [];
  // The copy as the form would write it, so that only what was changed in it is a change.
  const [asRead] = useState(state.spec);
  const dirty = changesBetween(asRead, state.spec).length > 0;
  const published = resource.spec;
  const changes = useMemo(() => (published ? changesBetween(published, writtenLike(state.spec, published, kind.schema, kind.schema)) : null), [published, state.spec, kind]);
  return (
    <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1fr)_400px]">
      <Panel title="Working copy" aside={dirty ? "not saved" : "saved"}>
        <form
          className="px-3.5 py-3.5"
          onSubmit={(event) => {
            event.preventDefault();
            setTold(true);
            if (dirty && state.wrong.length === 0 && !save.isPending) save.mutate(state.spec);
          }}
        >
          <fieldset disabled={!editable} className="max-w-2xl space-y-3.5">
            <ConnectionForm name={resource.name} state={state} violations={violations} told={told} />
            {save.isError ? <Failure what="The working copy was not saved" error={save.error} className="rounded-md border" /> : null}
            {editable ? (
              <Button type="submit" variant={dirty ? "primary" : "default"} disabled={!dirty || save.isPending}>
                {save.isPending ? "Saving…" : "Save working copy"}
              </Button>
            ) : null}
          </fieldset>
        </form>
      </Panel>
      <Panel title="Changes" aside={published ? `against published r${resource.published?.number ?? ""}` : "nothing published yet"}>
        {changes && changes.length > 0 ? (
          <ChangeList changes={changes} />
        ) : (
          <Empty title={published ? "The same as published" : "The first revision"}>{published ? "What differs is listed here." : "Publishing cuts r1 from this working copy."}</Empty>
        )}
        {editable && mayDo("publish") ? (
          <div className="border-t px-3.5 py-2.5">
            <Button variant="primary" className="w-full" disabled={dirty || (changes !== null && changes.length === 0)} onClick={() => setPublishing(true)}>
              Publish…
            </Button>
            {dirty ? <p className="mt-1.5 text-xs text-ink2">Save the working copy first.</p> : null}
          </div>
        ) : null}
      </Panel>
      <PublishWorkingCopyDialog kind={kind} resource={resource} changes={changes} open={publishing} onOpenChange={setPublishing} />
    </div>
  );
}
