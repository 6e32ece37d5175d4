// The review of a revision: what changes, what publishing it would do, what is said of it, and the decision.
import { useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { useMayOn } from "@/access/may";
import { Needs } from "@/access/needs";
import { ApiError } from "@/api/error";
import { meQuery, resourceQuery, reviewQuery, revisionQuery } from "@/api/queries";
import type { KindInfo, ReviewDetail } from "@/api/types";
import { ChangeList } from "@/components/change-list";
import { SpecDiff, YamlView } from "@/components/code/lazy";
import { Id } from "@/components/copy";
import { PageHeader } from "@/components/page";
import { Fact, Facts, Panel } from "@/components/panel";
import { Gates, PlanSteps, PlanTerms } from "@/components/plan-view";
import { RevisionActionDialog } from "@/components/publish-dialogs";
import { ReviewDialog, type ReviewVerb } from "@/components/review-dialog";
import { Empty, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { SkeletonRows } from "@/components/ui/skeleton";
import { useKind } from "@/kinds/access";
import { plural as counted } from "@/lib/format";
import { closedGates } from "@/lib/plan";
import { NotFound, PagePending } from "@/shell/fallback";
import { Discussion } from "./discussion";

export default function ReviewPage() {
  const { plural, name, number } = useParams({ from: "/app/$plural/$name/review/$number" });
  const kind = useKind(plural);
  const revision = Number(number);
  if (!kind || !Number.isInteger(revision)) return <NotFound />;
  return (
    <Needs right={{ action: `${plural}.read`, at: "some" }}>
      <Review key={`${plural}/${name}/${revision}`} kind={kind} name={name} number={revision} />
    </Needs>
  );
}

function Review({ kind, name, number }: { kind: KindInfo; name: string; number: number }) {
  const query = useQuery(reviewQuery(kind.plural, name, number));
  if (query.isPending) return <PagePending />;
  if (!query.data) {
    if (query.error instanceof ApiError && query.error.status === 404) return <NotFound />;
    return (
      <Panel>
        <Failure what={`Could not read the review of r${number}`} error={query.error} retry={() => void query.refetch()} />
      </Panel>
    );
  }
  return <Loaded kind={kind} review={query.data} />;
}

function Loaded({ kind, review }: { kind: KindInfo; review: ReviewDetail }) {
  const { plan } = review;
  return (
    <>
      <Header kind={kind} review={review} />
      <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1.7fr)_minmax(0,1fr)]">
        <div className="grid min-w-0 gap-3.5">
          <SpecPanel kind={kind} review={review} />
          <Panel title="Changes" aside={review.published ? `against published r${review.published}` : "nothing is published yet"}>
            {review.changes.length > 0 ? <ChangeList changes={review.changes} /> : <Empty title="The same as published">Publishing it changes no field.</Empty>}
          </Panel>
          <Discussion kind={kind} name={review.name} number={review.revision.number} />
        </div>
        <div className="grid min-w-0 gap-3.5">
          {plan ? (
            <>
              <Panel title="Plan of publishing" aside={review.hash ? <Id id={review.hash} label="plan hash" /> : undefined}>
                <PlanSteps plan={plan} open={false} />
              </Panel>
              <Panel title="Gates" aside={closedGates(plan).length > 0 ? <span className="text-bad">{closedGates(plan).length} closed</span> : undefined}>
                {plan.gates.length > 0 ? <Gates gates={plan.gates} /> : <Empty title="Nothing is checked beforehand" />}
              </Panel>
              <Panel title="What it rests on and what it leads to">
                <PlanTerms plan={plan} />
              </Panel>
            </>
          ) : null}
          <History review={review} />
        </div>
      </div>
    </>
  );
}

function Header({ kind, review }: { kind: KindInfo; review: ReviewDetail }) {
  const mayDo = useMayOn(kind.plural, review.name);
  const [verb, setVerb] = useState<ReviewVerb | "publish" | null>(null);
  const resource = useQuery(resourceQuery(kind.plural, review.name)).data;
  const { state, number, created_by } = review.revision;
  const asked = review.reviews[0];
  const closed = review.plan ? closedGates(review.plan).length > 0 : true;
  const me = useSuspenseQuery(meQuery).data;
  const own = review.authors.includes(me.principal.name);
  // What was approved can be rejected until it is published.
  const mayReject = review.may_decide || (state === "approved" && !own && mayDo("review"));
  return (
    <PageHeader
      documentTitle={`Review ${review.name} r${number}`}
      title={
        <>
          Review: {review.name} r{number}
        </>
      }
      note={
        <>
          <State state={state} />
          {state === "in_review" && own ? <span className="text-ink2">Somebody who had no hand in it decides.</span> : null}
        </>
      }
      actions={
        <>
          {state === "draft" && mayDo("submit") ? (
            <Button variant="primary" onClick={() => setVerb("submit")}>
              Submit for review…
            </Button>
          ) : null}
          {state === "in_review" && own && mayDo("withdraw") ? <Button onClick={() => setVerb("withdraw")}>Withdraw…</Button> : null}
          {mayReject ? (
            <Button variant="danger" onClick={() => setVerb("reject")}>
              Reject…
            </Button>
          ) : null}
          {review.may_decide ? (
            <Button variant="primary" disabled={closed || !review.hash} title={closed ? "A gate is closed" : undefined} onClick={() => setVerb("approve")}>
              Approve…
            </Button>
          ) : null}
          {state === "approved" && mayDo("publish") && resource ? (
            <Button variant="primary" onClick={() => setVerb("publish")}>
              Publish…
            </Button>
          ) : null}
        </>
      }
    >
      <Facts className="mt-2.5">
        {asked ? (
          <Fact label="Asked by">
            <b>{asked.submitted_by}</b> <Ago at={asked.submitted_at} />
            {asked.message ? <span>“{asked.message}”</span> : null}
          </Fact>
        ) : (
          <Fact label="Cut by">
            <b>{created_by}</b> <Ago at={review.revision.created_at} />
          </Fact>
        )}
        <Fact label="Published now">
          <b>{review.published ? `r${review.published}` : "nothing"}</b>
        </Fact>
        <Fact label="Authors">
          <b>{review.authors.join(", ")}</b>
        </Fact>
        <Fact label="This project">{review.mode === "required" ? "publishes only what was approved" : "asks for no review"}</Fact>
        <Fact label="Of">
          <Link to="/$plural/$name" params={{ plural: kind.plural, name: review.name }} search={{ tab: "revisions", rev: number }} className="link">
            {review.name}
          </Link>
        </Fact>
        <Fact label="Content">
          <Id id={review.revision.spec_hash} label="spec hash" />
        </Fact>
      </Facts>
      {verb === "publish" && resource ? <RevisionActionDialog kind={kind} resource={resource} revision={number} verb="publish" onClose={() => setVerb(null)} /> : null}
      {verb && verb !== "publish" ? <ReviewDialog plural={kind.plural} review={review} verb={verb} onClose={() => setVerb(null)} /> : null}
    </PageHeader>
  );
}

function SpecPanel({ kind, review }: { kind: KindInfo; review: ReviewDetail }) {
  const number = review.revision.number;
  const after = useQuery(revisionQuery(kind.plural, review.name, number));
  const against = review.published !== null && review.published !== number ? review.published : null;
  const before = useQuery({ ...revisionQuery(kind.plural, review.name, against ?? 0), enabled: against !== null });
  const error = after.error ?? before.error;
  return (
    <Panel title="Spec" aside={against === null ? "nothing to compare with" : `${counted(review.changes.length, "change")} · side by side`}>
      {error ? (
        <Failure what="Could not read the specs" error={error} retry={() => void Promise.all([after.refetch(), before.refetch()])} />
      ) : against === null ? (
        <YamlView value={after.data?.spec} label={`Spec of r${number}`} className="max-h-[60vh]" />
      ) : before.data && after.data ? (
        <SpecDiff before={before.data.spec} after={after.data.spec} labels={[`r${against}`, `r${number}`]} />
      ) : (
        <SkeletonRows rows={6} />
      )}
    </Panel>
  );
}

function History({ review }: { review: ReviewDetail }) {
  if (review.reviews.length === 0) return null;
  return (
    <Panel title="Decisions" aside="newest first">
      <ul>
        {review.reviews.map((each) => (
          <li key={each.id} className="border-t px-3.5 py-2 first:border-t-0">
            <div className="flex flex-wrap items-center gap-x-3">
              <State state={each.state} word={each.state === "open" ? "Open" : undefined} />
              <span className="text-ink2">
                submitted by <b className="font-[540] text-ink">{each.submitted_by}</b> <Ago at={each.submitted_at} />
              </span>
            </div>
            {each.decided_by ? (
              <p className="text-ink2">
                {each.state} by <b className="font-[540] text-ink">{each.decided_by}</b> <Ago at={each.decided_at} />
                {each.decision ? <span className="break-words"> “{each.decision}”</span> : null}
              </p>
            ) : each.decision ? (
              <p className="break-words text-ink2">{each.decision}</p>
            ) : null}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
