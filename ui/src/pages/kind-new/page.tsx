// A new item of any kind, written as a document. What is saved is its working copy; nothing is published.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useBlocker, useNavigate, useParams } from "@tanstack/react-router";
import { Suspense, useEffect, useState } from "react";
import { Needs } from "@/access/needs";
import { ApiError } from "@/api/error";
import { resourceCreate } from "@/api/mutations";
import type { KindInfo } from "@/api/types";
import { Code } from "@/components/code/lazy";
import type { Marker } from "@/components/code/yaml";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { Failure } from "@/components/situation";
import { Button } from "@/components/ui/button";
import { nounOf, useKind } from "@/kinds/access";
import { extensionOf } from "@/kinds/registry";
import { NotFound, PagePending } from "@/shell/fallback";

export default function KindNewPage() {
  const { plural } = useParams({ from: "/app/$plural/new" });
  const kind = useKind(plural);
  const [written, setWritten] = useState(false);
  if (!kind) return <NotFound />;
  const Form = extensionOf(kind.plural).newForm;
  return (
    <Needs right={{ action: `${plural}.create` }}>
      {Form && !written ? (
        <>
          <PageHeader title={`New ${nounOf(kind)}`} documentTitle={`New ${nounOf(kind)}`} actions={<Button onClick={() => setWritten(true)}>Write it as a document</Button>} />
          <Suspense fallback={<PagePending />}>
            <Form key={plural} kind={kind} />
          </Suspense>
        </>
      ) : (
        <KindNew key={plural} kind={kind} />
      )}
    </Needs>
  );
}

function KindNew({ kind }: { kind: KindInfo }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const [text, setText] = useState<string | null>(null);
  const [touched, setTouched] = useState(false);
  const [markers, setMarkers] = useState<Marker[]>([]);

  useEffect(() => {
    let left = false;
    const starter = extensionOf(kind.plural).starter ?? (() => import("./starter").then(({ starterOf }) => starterOf(kind)));
    void starter().then((yaml) => {
      if (!left) setText((old) => old ?? yaml);
    });
    return () => {
      left = true;
    };
  }, [kind]);

  const create = useMutation({
    mutationFn: (yaml: string) => resourceCreate(kind.plural, yaml),
    onSuccess: async (made) => {
      setTouched(false);
      await client.invalidateQueries({ queryKey: ["resources", kind.plural] });
      await navigate({ to: "/$plural/$name", params: { plural: kind.plural, name: made.name }, search: { tab: "yaml" }, ignoreBlocker: true });
    },
    onError: async (error) => {
      if (!(error instanceof ApiError) || text === null) return;
      const { markersFor } = await import("@/components/code/yaml");
      setMarkers(markersFor(text, error.violations));
    },
  });
  useBlocker({
    shouldBlockFn: () => touched && !window.confirm("Leave and lose what was written here?"),
    enableBeforeUnload: () => touched,
  });

  const submit = () => {
    if (text?.trim() && !create.isPending) create.mutate(text);
  };
  return (
    <>
      <PageHeader
        title={`New ${nounOf(kind)}`}
        documentTitle={`New ${nounOf(kind)}`}
        actions={
          <Button variant="primary" onClick={submit} disabled={!text?.trim() || create.isPending}>
            {create.isPending ? "Creating…" : "Create"}
          </Button>
        }
      >
        <p className="mt-1 text-ink2">Creates the {nounOf(kind)} with this working copy. Nothing is published until you publish it.</p>
      </PageHeader>
      {create.isError ? (
        <Panel className="mb-3.5">
          <Failure what={`The ${nounOf(kind)} was not created`} error={create.error} />
        </Panel>
      ) : null}
      <Panel title="Document" aside="YAML">
        <Code
          label={`Document of the new ${nounOf(kind)}`}
          value={text ?? ""}
          onChange={(next) => {
            setText(next);
            setTouched(true);
            if (markers.length > 0) setMarkers([]);
          }}
          onSave={submit}
          markers={markers}
          className="h-[calc(100dvh-240px)] min-h-80"
        />
      </Panel>
    </>
  );
}
