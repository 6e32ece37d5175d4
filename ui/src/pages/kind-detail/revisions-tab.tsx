// Revisions: the list at the left, what the picked one changed at the right. Picked revision and base stand in
// the URL, so that a diff can be sent to somebody.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { useMayOn } from "@/access/may";
import { diffQuery, revisionQuery, revisionsQuery } from "@/api/queries";
import type { RevisionSummary } from "@/api/types";
import { ChangeList } from "@/components/change-list";
import { SpecDiff, YamlView } from "@/components/code/lazy";
import { Id } from "@/components/copy";
import { Panel } from "@/components/panel";
import { RevisionActionDialog } from "@/components/publish-dialogs";
import { ReviewDialog } from "@/components/review-dialog";
import { CommandLine, Empty, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { NativeSelect } from "@/components/ui/input";
import { SkeletonRows } from "@/components/ui/skeleton";
import type { TabProps } from "@/kinds/registry";
import { cn } from "@/lib/cn";
import { plural as counted } from "@/lib/format";

const ORIGIN: Record<string, string> = { working_copy: "from the working copy", apply: "by apply", rollback: "rollback" };

export default function RevisionsTab({ kind, resource }: TabProps) {
  const search = useSearch({ from: "/app/$plural/$name" });
  const mayDo = useMayOn(kind.plural, resource.name);
  const navigate = useNavigate({ from: "/$plural/$name" });
  const query = useInfiniteQuery(revisionsQuery(kind.plural, resource.name));
  const [action, setAction] = useState<{ verb: "publish" | "rollback"; revision: number } | null>(null);
  const [submitted, setSubmitted] = useState<RevisionSummary | null>(null);
  const revisions = query.data ?? [];
  const picked = revisions.find((each) => each.number === search.rev) ?? (search.rev === undefined ? revisions[0] : undefined);
  const number = picked?.number ?? search.rev;
  const earlier = revisions.find((each) => number !== undefined && each.number < number)?.number;
  const from = search.from ?? earlier;
  const pick = (rev: number, base?: number) =>
    void navigate({ search: { tab: "revisions", rev, from: base }, replace: true, resetScroll: false });

  if (query.isError && !query.data) {
    return (
      <Panel>
        <Failure what="Could not read the revisions" error={query.error} retry={() => void query.refetch()} />
      </Panel>
    );
  }
  return (
    <div className="grid items-start gap-3.5 lg:grid-cols-[minmax(300px,380px)_minmax(0,1fr)]">
      <Panel title="Revisions" aside={counted(revisions.length, "revision")}>
        {query.isPending ? (
          <SkeletonRows rows={5} />
        ) : revisions.length === 0 ? (
          <Empty title="No revisions yet">A revision is cut from the working copy when you publish it, or by <CommandLine>qd apply</CommandLine>.</Empty>
        ) : (
          <ol className="max-h-[70vh] overflow-y-auto">
            {revisions.map((revision) => (
              <RevisionRow
                plural={kind.plural}
                name={resource.name}
                key={revision.id}
                revision={revision}
                published={resource.published?.number === revision.number}
                picked={revision.number === number}
                onPick={() => pick(revision.number)}
                onSubmit={revision.state === "draft" && resource.state !== "archived" && mayDo("submit") ? () => setSubmitted(revision) : null}
                onAct={
                  resource.published?.number === revision.number || !mayDo(isOlder(revision, resource.published?.number) ? "rollback" : "publish")
                    ? null
                    : {
                        label: isOlder(revision, resource.published?.number) ? "Roll back…" : "Publish…",
                        run: () =>
                          setAction({
                            verb: isOlder(revision, resource.published?.number) ? "rollback" : "publish",
                            revision: revision.number,
                          }),
                      }
                }
              />
            ))}
          </ol>
        )}
        {query.hasNextPage ? (
          <div className="border-t px-3.5 py-2">
            <Button size="sm" onClick={() => void query.fetchNextPage()}>
              Load more
            </Button>
          </div>
        ) : null}
      </Panel>
      {number !== undefined ? (
        <Compare
          key={`${number}-${from}`}
          plural={kind.plural}
          name={resource.name}
          number={number}
          from={from ?? null}
          choices={revisions.map((each) => each.number).filter((each) => each !== number)}
          onFrom={(base) => pick(number, base)}
        />
      ) : null}
      {action ? <RevisionActionDialog kind={kind} resource={resource} revision={action.revision} verb={action.verb} onClose={() => setAction(null)} /> : null}
      {submitted ? (
        <ReviewDialog plural={kind.plural} review={{ name: resource.name, revision: submitted, plan: null, hash: null }} verb="submit" onClose={() => setSubmitted(null)} />
      ) : null}
    </div>
  );
}

function isOlder(revision: RevisionSummary, published: number | undefined): boolean {
  return published !== undefined && revision.number < published;
}

function RevisionRow({
  plural,
  name,
  revision,
  published,
  picked,
  onPick,
  onSubmit,
  onAct,
}: {
  plural: string;
  name: string;
  revision: RevisionSummary;
  published: boolean;
  picked: boolean;
  onPick: () => void;
  onSubmit: (() => void) | null;
  onAct: { label: string; run: () => void } | null;
}) {
  return (
    <li className={cn("group relative border-t px-3.5 py-2.5 first:border-t-0", picked ? "bg-accent-soft" : "hover:bg-sunken/60")}>
      <div className="flex items-center gap-2">
        <button
          type="button"
          aria-pressed={picked}
          onClick={onPick}
          className="font-[560] after:absolute after:inset-0 focus-visible:after:outline-2 focus-visible:after:-outline-offset-2 focus-visible:after:outline-accent"
        >
          r{revision.number}
        </button>
        {published ? <State state="published" /> : <State state={revision.state} />}
        <Ago at={revision.created_at} className="ml-auto text-xs text-ink3" />
      </div>
      <p className={cn("mt-0.5 break-words", revision.message ? "text-ink" : "text-ink3")}>{revision.message || "no message"}</p>
      <div className="mt-0.5 flex items-center gap-2 text-xs text-ink3">
        <span>
          {revision.created_by ?? "–"}, {ORIGIN[revision.origin] ?? revision.origin}
        </span>
        <span className="relative z-1">
          <Link to="/$plural/$name/review/$number" params={{ plural, name, number: String(revision.number) }} className="link mr-2">
            review
          </Link>
          <Id id={revision.spec_hash.replace(/^sha256:/, "")} label="spec hash" />
        </span>
        {onSubmit ? (
          <Button size="inline" variant="link" className="relative z-1 ml-auto text-xs" onClick={onSubmit} aria-label={`Submit r${revision.number}`}>
            Submit…
          </Button>
        ) : null}
        {onAct ? (
          <Button size="inline" variant="link" className={cn("relative z-1 text-xs", !onSubmit && "ml-auto")} onClick={onAct.run} aria-label={`${onAct.label.replace("…", "")} r${revision.number}`}>
            {onAct.label}
          </Button>
        ) : null}
      </div>
    </li>
  );
}

function Compare({
  plural,
  name,
  number,
  from,
  choices,
  onFrom,
}: {
  plural: string;
  name: string;
  number: number;
  from: number | null;
  choices: number[];
  onFrom: (from: number) => void;
}) {
  const after = useQuery(revisionQuery(plural, name, number));
  const before = useQuery({ ...revisionQuery(plural, name, from ?? 0), enabled: from !== null });
  const diff = useQuery({ ...diffQuery(plural, name, from ?? 0, number), enabled: from !== null });
  const failed = after.error ?? before.error ?? diff.error;
  if (failed) {
    return (
      <Panel>
        <Failure what={`Could not compare r${number}`} error={failed} retry={() => void Promise.all([after.refetch(), before.refetch(), diff.refetch()])} />
      </Panel>
    );
  }
  if (from === null) {
    return (
      <Panel title={`r${number}`} aside="the first revision: nothing to compare with">
        <YamlView value={after.data?.spec} label={`Spec of r${number}`} className="max-h-[70vh]" />
      </Panel>
    );
  }
  return (
    <div className="grid min-w-0 gap-3.5">
      <Panel
        title={`r${from} → r${number}`}
        aside={
          <>
            <span>{diff.data ? counted(diff.data.changes.length, "change") : "comparing"} · side by side</span>
            <label className="flex items-center gap-1.5">
              against
              <NativeSelect value={from} onChange={(event) => onFrom(Number(event.target.value))} className="w-auto py-0 text-xs sm:min-h-7" aria-label="Compare against revision">
                {choices.map((each) => (
                  <option key={each} value={each}>
                    r{each}
                  </option>
                ))}
              </NativeSelect>
            </label>
          </>
        }
      >
        {before.data && after.data ? (
          <SpecDiff before={before.data.spec} after={after.data.spec} labels={[`r${from}`, `r${number}`]} />
        ) : (
          <SkeletonRows rows={6} />
        )}
      </Panel>
      <Panel title="Changes" aside="by JSON pointer">
        {diff.data ? (
          diff.data.changes.length > 0 ? (
            <ChangeList changes={diff.data.changes} />
          ) : (
            <Empty title="The two are the same">A rollback makes a new revision with an old spec.</Empty>
          )
        ) : (
          <SkeletonRows rows={3} />
        )}
      </Panel>
    </div>
  );
}
