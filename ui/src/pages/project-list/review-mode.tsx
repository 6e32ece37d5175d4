// What a project asks of others before something happens in it: a review of what is published, a second person for plans.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { projectUpdate } from "@/api/mutations";
import type { ProjectInfo } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Field } from "@/components/field";
import { State } from "@/components/state";
import { NativeSelect } from "@/components/ui/input";

const REVIEW = { none: "none", required: "required" } as const satisfies Record<ProjectInfo["review"], string>;
const APPROVAL = {
  none: "none",
  low: "all plans",
  medium: "plans of medium and high risk",
  high: "plans of high risk",
} as const satisfies Record<ProjectInfo["approval_from"], string>;

const PLANS = { low: "all plans", medium: "plans from medium risk on", high: "plans of high risk" };

const known = <T extends string>(of: Record<T, string>) => Object.keys(of) as T[];

export function ReviewState({ project }: { project: ProjectInfo }) {
  const { review, approval_from } = project;
  return (
    <span className="flex flex-wrap items-center gap-x-2">
      <State state={review} tone={review === "required" ? "ok" : "idle"} />
      {approval_from === "none" ? null : <span className="text-ink2">and a second person for {PLANS[approval_from]}</span>}
    </span>
  );
}

export function ReviewModeDialog({ project, onClose }: { project: ProjectInfo; onClose: () => void }) {
  const client = useQueryClient();
  const [review, setReview] = useState(project.review);
  const [from, setFrom] = useState(project.approval_from);
  const save = useMutation({
    mutationFn: (reason: string) => projectUpdate(project.name, { review, approval_from: from, reason }, project.version),
    onSuccess: () => {
      for (const key of ["projects", "review", "preview"]) void client.invalidateQueries({ queryKey: [key] });
      onClose();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Review in ${project.name}`}
      effect={
        <p>
          Where a review is required, nothing is published that somebody else than its authors has not approved, whichever way it is asked for. What is published stays. A second
          person can be asked for each plan of some risk, too.
        </p>
      }
      confirm="Set review"
      reason="required"
      reasonNote="(kept in the audit)"
      pending={save.isPending}
      error={save.error}
      failed="The review was not changed"
      blocked={review === project.review && from === project.approval_from}
      onConfirm={(reason) => save.mutate(reason)}
    >
      <Field label="Review before publishing">
        <NativeSelect value={review} onChange={(event) => setReview(known(REVIEW).find((each) => each === event.target.value) ?? review)}>
          {known(REVIEW).map((each) => (
            <option key={each} value={each}>
              {REVIEW[each]}
            </option>
          ))}
        </NativeSelect>
      </Field>
      <Field label="A second person for plans">
        <NativeSelect value={from} onChange={(event) => setFrom(known(APPROVAL).find((each) => each === event.target.value) ?? from)}>
          {known(APPROVAL).map((each) => (
            <option key={each} value={each}>
              {APPROVAL[each]}
            </option>
          ))}
        </NativeSelect>
      </Field>
    </ConfirmDialog>
  );
}
