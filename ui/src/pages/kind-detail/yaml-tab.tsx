// The spec as YAML: the working copy to edit, with what is wrong beside and inside it, and the published spec to
// compare with.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useBlocker, useNavigate } from "@tanstack/react-router";
import { Suspense, useEffect, useMemo, useState } from "react";
import { useMayOn } from "@/access/may";
import { revisionCut } from "@/api/mutations";
import type { Violation } from "@/api/types";
import { ChangeList } from "@/components/change-list";
import { Code, SpecDiff, YamlView } from "@/components/code/lazy";
import type { Marker } from "@/components/code/yaml";
import { Panel } from "@/components/panel";
import { PublishWorkingCopyDialog } from "@/components/publish-dialogs";
import { Empty, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { SkeletonRows } from "@/components/ui/skeleton";
import { extensionOf, type TabProps } from "@/kinds/registry";
import { cn } from "@/lib/cn";
import { changesBetween, writtenLike } from "@/lib/diff";
import { plural as counted } from "@/lib/format";
import { useChecks } from "./use-checks";
import { type SaveState, useWorkingCopy, type WorkingCopyEditor } from "./use-working-copy";

type Shown = "edit" | "diff" | "published";
const NO_MARKERS: Marker[] = [];

export default function YamlTab({ kind, resource }: TabProps) {
  const editor = useWorkingCopy(kind.plural, resource.name);
  const [shown, setShown] = useState<Shown>("edit");
  const [publishing, setPublishing] = useState(false);
  const checks = useChecks(kind.plural, resource.name, editor.copy);
  const mayDo = useMayOn(kind.plural, resource.name);
  const fixed = resource.state === "archived" || !mayDo("edit");
  const published = resource.spec;
  const copy = editor.copy;
  const written = useMemo(() => (copy && published ? writtenLike(copy.spec, published, kind.schema, kind.schema) : null), [copy, published, kind]);
  const changes = useMemo(() => (written && published ? changesBetween(published, written) : null), [written, published]);
  const markers = useMarkers(editor, checks.violations);

  useBlocker({
    shouldBlockFn: () =>
      (editor.state === "invalid" || editor.state === "failed" || editor.state === "conflict") &&
      !window.confirm("What was typed is not saved. Leave and lose it?"),
    enableBeforeUnload: () => editor.state !== "saved",
  });

  if (editor.error && !copy) {
    return (
      <Panel>
        <Failure what="Could not read the working copy" error={editor.error} retry={editor.refetch} />
      </Panel>
    );
  }
  const problems = checks.violations?.length ?? 0;
  const Draft = extensionOf(kind.plural).draft;
  const canPublish = editor.state === "saved" && checks.violations !== null && problems === 0 && (changes === null || changes.length > 0);
  return (
    <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1fr)_400px]">
      <Panel
        title={shown === "published" ? "Published spec" : shown === "diff" ? "Published and working copy" : "Working copy"}
        aside={
          <>
            {shown === "edit" ? <Saved state={editor.state} at={copy?.updated_at} by={copy?.updated_by ?? null} base={copy?.base_revision ?? null} /> : null}
            {published ? (
              <span className="flex rounded-md border" role="group" aria-label="What is shown">
                {(
                  [
                    ["edit", "Edit"],
                    ["diff", "Diff"],
                    ["published", "Published"],
                  ] as const
                ).map(([id, label]) => (
                  <button
                    key={id}
                    type="button"
                    aria-pressed={shown === id}
                    onClick={() => setShown(id)}
                    className={cn(
                      "min-h-7 px-2.5 text-xs first:rounded-l-md last:rounded-r-md max-sm:min-h-11",
                      shown === id ? "bg-accent-soft font-[560] text-accent" : "text-ink2 hover:bg-sunken",
                    )}
                  >
                    {label}
                  </button>
                ))}
              </span>
            ) : null}
          </>
        }
      >
        {editor.state === "conflict" ? <Conflict editor={editor} /> : null}
        {editor.state === "failed" ? <Failure what="The working copy was not saved" error={editor.saveError} retry={editor.save} className="border-b" /> : null}
        {editor.text === null || !copy ? (
          <SkeletonRows rows={8} />
        ) : shown === "diff" && published && written ? (
          <SpecDiff before={published} after={written} labels={[`published r${resource.published?.number ?? ""}`, "working copy"]} />
        ) : shown === "published" && published ? (
          <YamlView value={published} label="Published spec" className="h-[calc(100dvh-290px)] min-h-96" />
        ) : (
          <Code
            label={`Working copy of ${resource.name}`}
            value={editor.text}
            onChange={fixed ? undefined : editor.setText}
            onSave={editor.save}
            markers={markers}
            className="h-[calc(100dvh-290px)] min-h-96"
          />
        )}
      </Panel>
      <div className="grid min-w-0 gap-3.5">
        <Panel
          title="Checks"
          aside={
            <span role="status">
              {checks.pending || editor.state === "typing" || editor.state === "saving"
                ? "checking"
                : editor.state === "invalid"
                  ? "not checked"
                : checks.violations === null
                  ? "not checked"
                  : problems === 0
                    ? "no problems"
                    : counted(problems, "problem")}
            </span>
          }
        >
          {editor.state === "invalid" ? (
            <ul>
              {editor.syntax.map((marker, i) => (
                <Problem key={i} pointer="YAML" detail={marker.message} />
              ))}
            </ul>
          ) : checks.error ? (
            <Failure what="Could not check the spec" error={checks.error} retry={checks.again} />
          ) : checks.violations === null ? (
            <SkeletonRows rows={2} />
          ) : problems === 0 ? (
            <p className="flex items-center gap-2 px-3.5 py-3 text-ink2">
              <State state="succeeded" word="Pass" /> The spec is valid and can be published.
            </p>
          ) : (
            <ul>
              {checks.violations.map((violation, i) => (
                <Problem key={i} pointer={violation.pointer || "/"} detail={violation.detail} code={violation.code} />
              ))}
            </ul>
          )}
        </Panel>
        {Draft && copy ? (
          <Suspense fallback={null}>
            <Draft resource={resource} spec={copy.spec} valid={editor.state === "saved" && checks.violations !== null && problems === 0} />
          </Suspense>
        ) : null}
        <Panel
          title="Changes"
          aside={published ? `against published r${resource.published?.number ?? ""}` : "nothing published yet"}
        >
          {changes && changes.length > 0 ? (
            <div className="max-h-80 overflow-y-auto">
              <ChangeList changes={changes} />
            </div>
          ) : (
            <Empty title={published ? "The same as published" : "The first revision"}>
              {published ? "Edit the spec, and what differs is listed here." : "Publishing cuts r1 from this working copy."}
            </Empty>
          )}
          {fixed || !mayDo("revise") || !(mayDo("publish") || mayDo("submit")) ? null : (
            <div className="space-y-2 border-t px-3.5 py-2.5">
              {mayDo("publish") ? (
                <Button variant="primary" className="w-full" disabled={!canPublish} onClick={() => setPublishing(true)}>
                  Publish…
                </Button>
              ) : null}
              {mayDo("submit") ? <SubmitForReview plural={kind.plural} name={resource.name} disabled={!canPublish} /> : null}
            </div>
          )}
        </Panel>
      </div>
      <PublishWorkingCopyDialog kind={kind} resource={resource} changes={changes} open={publishing} onOpenChange={setPublishing} />
    </div>
  );
}

/** Syntax errors while the text is no YAML, else the violations of what is saved, placed in the text. */
function useMarkers(editor: WorkingCopyEditor, violations: Violation[] | null): Marker[] {
  const { text, syntax } = editor;
  const settled = editor.state === "saved" && text !== null;
  const [placed, setPlaced] = useState<{ of: string; markers: Marker[] } | null>(null);
  useEffect(() => {
    if (!settled || !violations) return;
    let left = false;
    void import("@/components/code/yaml").then(({ markersFor }) => {
      if (!left) setPlaced({ of: text, markers: markersFor(text, violations, "/spec") });
    });
    return () => {
      left = true;
    };
  }, [text, violations, settled]);
  if (syntax.length > 0) return syntax;
  return settled && placed?.of === text ? placed.markers : NO_MARKERS;
}

/** Cuts a revision of the working copy; its review page submits it, with what its reader should know. */
function SubmitForReview({ plural, name, disabled }: { plural: string; name: string; disabled: boolean }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const cut = useMutation({
    mutationFn: () => revisionCut(plural, name, ""),
    onSuccess: (revision) => {
      for (const key of ["resource", "revisions", "working-copy"]) void client.invalidateQueries({ queryKey: [key, plural, name] });
      void navigate({ to: "/$plural/$name/review/$number", params: { plural, name, number: String(revision.number) } });
    },
  });
  return (
    <>
      <Button className="w-full" disabled={disabled || cut.isPending} onClick={() => cut.mutate()}>
        {cut.isPending ? "Cutting a revision…" : "Cut a revision to review"}
      </Button>
      {cut.isError ? <Failure what="No revision was cut" error={cut.error} className="rounded-md border" /> : null}
    </>
  );
}

function Problem({ pointer, detail, code }: { pointer: string; detail: string; code?: string }) {
  return (
    <li className="grid grid-cols-[10px_minmax(0,1fr)] gap-2 border-t px-3.5 py-2 first:border-t-0">
      <span aria-hidden className="mt-[6px] size-2 rounded-full bg-bad" />
      <span>
        <code className="mono font-[560] break-all">{pointer}</code> <span className="break-words text-ink2">{detail}</span>
        {code ? <span className="mono text-ink3"> {code}</span> : null}
      </span>
    </li>
  );
}

const WORD: Record<SaveState, string> = {
  saved: "saved",
  typing: "not saved yet",
  saving: "saving",
  invalid: "not saved: no valid YAML",
  failed: "not saved",
  conflict: "not saved: changed by somebody else",
};

function Saved({ state, at, by, base }: { state: SaveState; at: string | undefined; by: string | null; base: number | null }) {
  return (
    <span role="status" className={cn(state === "invalid" || state === "failed" || state === "conflict" ? "text-bad" : "text-ink3")}>
      {WORD[state]}
      {state === "saved" && at ? (
        <>
          {" "}
          <Ago at={at} />
          {by ? ` by ${by}` : ""}
        </>
      ) : null}
      {base ? ` · based on r${base}` : ""}
    </span>
  );
}

function Conflict({ editor }: { editor: WorkingCopyEditor }) {
  return (
    <div role="alert" className="flex flex-wrap items-center gap-2 border-b bg-warn-soft px-3.5 py-2.5">
      <p className="min-w-0 flex-1 text-ink">
        <b className="font-[560]">Somebody saved this working copy in between.</b> What you typed is still here and was not saved.
      </p>
      <Button size="sm" onClick={editor.takeTheirs}>
        Load theirs
      </Button>
      <Button size="sm" variant="danger" onClick={editor.keepMine}>
        Save mine over it
      </Button>
    </div>
  );
}
