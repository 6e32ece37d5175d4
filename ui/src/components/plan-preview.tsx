// What the change of a dialog would do, before it is made: its plan by a dry run, and the way to keep it for somebody else's eyes.
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { ChevronRight } from "lucide-react";
import { useState } from "react";
import { useMay } from "@/access/may";
import { planCreate } from "@/api/mutations";
import { previewQuery } from "@/api/queries";
import type { PlannedChange } from "@/api/types";
import { cn } from "@/lib/cn";
import { closedGates, refusalOf, summaryOf } from "@/lib/plan";
import { useSettled } from "@/lib/use-settled";
import { Gates, PlanSteps, PlanTerms } from "./plan-view";
import { Failure } from "./situation";
import { Button } from "./ui/button";
import { Skeleton } from "./ui/skeleton";

/** The plan of a change that may still be typed; null while there is none. Several that ask for the same share one answer. */
export function usePreview(change: PlannedChange | null, enabled = true) {
  return useQuery({ ...previewQuery(useSettled(change)), enabled, placeholderData: keepPreviousData });
}

/** Why the change would be refused, as far as it was asked for. */
export function useRefusal(change: PlannedChange | null, enabled = true): string | null {
  const { data, isPlaceholderData } = usePreview(change, enabled);
  return data && !isPlaceholderData ? refusalOf(data) : null;
}

export function PlanPreview({
  change,
  kept,
  incomplete = false,
  lazy = false,
}: {
  change: PlannedChange;
  /** What is kept as a plan: the change with its reason. */
  kept: PlannedChange;
  /** What is to be kept lacks something yet: a reason. */
  incomplete?: boolean;
  /** Asks only when it is opened: for a change that is still being typed. */
  lazy?: boolean;
}) {
  const may = useMay();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [open, setOpen] = useState(false);
  const query = usePreview(change, open || !lazy);
  const keep = useMutation({
    mutationFn: () => planCreate(kept),
    onSuccess: (plan) => {
      void client.invalidateQueries({ queryKey: ["plans"] });
      void navigate({ to: "/plans/$plan", params: { plan: plan.id } });
    },
  });
  const preview = query.data;
  const closed = preview ? closedGates(preview.plan) : [];
  return (
    <section aria-label="Plan" className="rounded-md border">
      <div className="flex flex-wrap items-center gap-x-2 gap-y-1 px-2.5 py-1.5">
        <button
          type="button"
          aria-expanded={open}
          onClick={() => setOpen(!open)}
          className="inline-flex min-h-8 min-w-0 items-center gap-1.5 rounded text-left hover:text-ink max-sm:min-h-11"
        >
          <ChevronRight className={cn("size-3.5 shrink-0 transition-transform", open && "rotate-90")} aria-hidden />
          <b className="font-[560]">Plan</b>
          {preview ? <span className={closed.length > 0 ? "text-bad" : "text-ink2"}>{summaryOf(preview.plan)}</span> : null}
        </button>
        {may("plans.create", "some") ? (
          <Button size="sm" variant="ghost" className="ml-auto" disabled={keep.isPending || incomplete} onClick={() => keep.mutate()}>
            {keep.isPending ? "Keeping…" : "Keep as a plan"}
          </Button>
        ) : null}
      </div>
      {preview?.needs_approval ? (
        <p className="border-t px-3.5 py-2 text-warn">A change of this risk wants a second person: keep it as a plan, and have it approved.</p>
      ) : null}
      {query.isError ? <Failure what="It cannot be planned" error={query.error} className="border-t" /> : null}
      {keep.isError ? <Failure what="The plan was not kept" error={keep.error} className="border-t" /> : null}
      {open && query.isFetching && !preview ? <Skeleton className="m-2.5 h-16" /> : null}
      {preview && (open || closed.length > 0) ? (
        <div className="max-h-72 overflow-y-auto border-t">
          {closed.length > 0 && !open ? <Gates gates={closed} /> : null}
          {open ? (
            <>
              <PlanSteps plan={preview.plan} open={false} />
              {preview.plan.gates.length > 0 ? (
                <div className="border-t">
                  <Gates gates={preview.plan.gates} />
                </div>
              ) : null}
              <div className="border-t">
                <PlanTerms plan={preview.plan} />
              </div>
              <p className="mono border-t px-3.5 py-2 text-2xs break-all text-ink3">{preview.hash}</p>
            </>
          ) : null}
        </div>
      ) : null}
    </section>
  );
}
