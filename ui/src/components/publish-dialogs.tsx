// Publishing and rolling back: each says before what it will do, and for which runs.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useId, useRef, useState } from "react";
import { revisionCut, revisionPublish, revisionRollback } from "@/api/mutations";
import { diffQuery, resourceRunsQuery, workingCopyQuery } from "@/api/queries";
import type { Change, KindInfo, PlannedChange, ResourceDetail, WorkingCopy } from "@/api/types";
import { wantsReason } from "@/kinds/access";
import { plural as counted } from "@/lib/format";
import { useJobMutation } from "@/lib/use-job";
import { queryClient } from "@/query-client";
import { ChangeList } from "./change-list";
import { ConfirmDialog } from "./confirm-dialog";
import { Input } from "./ui/input";
import { Skeleton } from "./ui/skeleton";

function refresh(kind: KindInfo, name: string) {
  void queryClient.invalidateQueries({ queryKey: ["resource", kind.plural, name] });
  void queryClient.invalidateQueries({ queryKey: ["revisions", kind.plural, name] });
  void queryClient.invalidateQueries({ queryKey: ["working-copy", kind.plural, name] });
}

function RunsStay({ resource, kind }: { resource: ResourceDetail; kind: KindInfo }) {
  const runs = useInfiniteQuery({ ...resourceRunsQuery(kind.plural, resource.name, 24), enabled: kind.runnable }).data ?? [];
  if (!kind.runnable) return null;
  const live = runs.filter((run) => run.state === "running" || run.state === "queued");
  return (
    <p>
      Only runs that start afterwards use it.{" "}
      {live.length > 0 ? (
        <>
          <b>{live.map((run) => run.ref).join(", ")}</b> {live.length === 1 ? "stays on its" : "stay on their"} own revision.
        </>
      ) : (
        "No run is touched now."
      )}
    </p>
  );
}

function Changes({ changes }: { changes: readonly Change[] }) {
  return (
    <div className="max-h-56 overflow-y-auto rounded-md border">
      {changes.length > 0 ? <ChangeList changes={changes} /> : <p className="px-3.5 py-2.5 text-ink2">The content is the same.</p>}
    </div>
  );
}

/** Nothing can plan a revision that is not cut yet; to apply the working copy as a document comes to the same. */
function asApplied(kind: KindInfo, resource: ResourceDetail, copy: WorkingCopy, message: string): PlannedChange {
  const { name, display_name, description, labels, tags, owners, teams } = resource;
  const metadata = { name, display_name, description, labels, tags, owners, teams };
  return {
    operation: "apply",
    publish: true,
    message,
    documents: [{ apiVersion: "quarterdeck/v1", kind: kind.kind, metadata, spec: copy.spec }],
  };
}

/** Cuts a revision from the working copy and publishes it. */
export function PublishWorkingCopyDialog({
  kind,
  resource,
  changes,
  open,
  onOpenChange,
}: {
  kind: KindInfo;
  resource: ResourceDetail;
  /** From the published spec to the working copy; null while unknown. */
  changes: readonly Change[] | null;
  open: boolean;
  onOpenChange: (open: boolean) => void;
}) {
  const [message, setMessage] = useState("");
  const cut = useRef<number | null>(null);
  const id = useId();
  const publish = useJobMutation({
    start: async ({ message: text, reason }: { message: string; reason: string }, key) => {
      // A second press after the publish failed must not cut a second revision.
      cut.current ??= (await revisionCut(kind.plural, resource.name, text)).number;
      return revisionPublish(kind.plural, resource.name, { revision: cut.current, reason: reason || undefined }, key);
    },
    title: () => `publish ${resource.name}`,
    onStarted: () => {
      cut.current = null;
      onOpenChange(false);
      refresh(kind, resource.name);
    },
  });
  const next = (resource.latest_revision?.number ?? 0) + 1;
  const copy = useQuery({ ...workingCopyQuery(kind.plural, resource.name), enabled: open }).data;
  return (
    <ConfirmDialog
      open={open}
      onOpenChange={onOpenChange}
      planned={copy ? () => asApplied(kind, resource, copy, message.trim()) : null}
      title={`Publish ${resource.name}`}
      confirm={`Publish r${next}`}
      reason={wantsReason(kind, "publish") ? "required" : "none"}
      pending={publish.isPending}
      error={publish.error}
      failed="Nothing was published"
      onConfirm={(reason) => publish.mutate({ message: message.trim(), reason })}
      effect={
        <>
          <p>
            Cuts revision <b>r{next}</b> from the working copy and makes it the published one
            {resource.published ? (
              <>
                , in place of <b>r{resource.published.number}</b>
              </>
            ) : null}
            . A revision never changes afterwards.
          </p>
          <RunsStay kind={kind} resource={resource} />
        </>
      }
    >
      {resource.published ? (
        <div>
          <p className="mb-1 text-xs text-ink2">
            {changes ? counted(changes.length, "change") : "Changes"} against r{resource.published.number}
          </p>
          {changes ? <Changes changes={changes} /> : <Skeleton className="h-16" />}
        </div>
      ) : null}
      <div>
        <label htmlFor={id} className="mb-1 block text-xs text-ink2">
          Message <span className="text-ink3">(what changed, and why)</span>
        </label>
        <Input id={id} value={message} onChange={(event) => setMessage(event.target.value)} maxLength={500} />
      </div>
    </ConfirmDialog>
  );
}

/** Publishes an existing revision, or rolls back to an old one (a new revision with the old spec). */
export function RevisionActionDialog({
  kind,
  resource,
  revision,
  verb,
  onClose,
}: {
  kind: KindInfo;
  resource: ResourceDetail;
  revision: number;
  verb: "publish" | "rollback";
  onClose: () => void;
}) {
  const now = resource.published?.number ?? null;
  const diff = useQuery({ ...diffQuery(kind.plural, resource.name, now ?? 0, revision), enabled: now !== null && now !== revision });
  const act = useJobMutation({
    start: (reason: string, key) =>
      verb === "publish"
        ? revisionPublish(kind.plural, resource.name, { revision, reason: reason || undefined }, key)
        : revisionRollback(kind.plural, resource.name, { to: revision, reason }, key),
    title: () => (verb === "publish" ? `publish ${resource.name} r${revision}` : `roll ${resource.name} back to r${revision}`),
    onStarted: () => {
      onClose();
      refresh(kind, resource.name);
    },
  });
  const next = (resource.latest_revision?.number ?? 0) + 1;
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={verb === "publish" ? `Publish r${revision} of ${resource.name}` : `Roll ${resource.name} back to r${revision}`}
      confirm={verb === "publish" ? `Publish r${revision}` : `Roll back to r${revision}`}
      planned={(reason) =>
        verb === "publish"
          ? { operation: "publish", kind: kind.plural, name: resource.name, revision, reason }
          : { operation: "rollback", kind: kind.plural, name: resource.name, to: revision, reason }
      }
      reason={verb === "rollback" || wantsReason(kind, verb) ? "required" : "none"}
      pending={act.isPending}
      error={act.error}
      failed={verb === "publish" ? "It was not published" : "It was not rolled back"}
      onConfirm={(reason) => act.mutate(reason)}
      effect={
        <>
          {verb === "publish" ? (
            <p>
              Makes <b>r{revision}</b> the published revision{now === null ? "" : <>, in place of <b>r{now}</b></>}.
            </p>
          ) : (
            <p>
              Makes a new revision <b>r{next}</b> with the spec of <b>r{revision}</b> and publishes it, in place of <b>r{now}</b>. The working copy stays as it is.
            </p>
          )}
          <RunsStay kind={kind} resource={resource} />
        </>
      }
    >
      {now !== null ? (
        <div>
          <p className="mb-1 text-xs text-ink2">Changes against r{now}</p>
          {diff.data ? <Changes changes={diff.data.changes} /> : diff.isError ? null : <Skeleton className="h-16" />}
        </div>
      ) : null}
    </ConfirmDialog>
  );
}
