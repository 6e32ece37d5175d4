// The steps of a review. An approval is given to the hash of the plan that stands in the dialog.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { revisionApprove, revisionReject, revisionSubmit, revisionWithdraw } from "@/api/mutations";
import type { ReviewDetail } from "@/api/types";
import { summaryOf } from "@/lib/plan";
import { ConfirmDialog } from "./confirm-dialog";

/** What the dialog has to know; only an approval has a plan. */
type Reviewed = Pick<ReviewDetail, "name" | "revision" | "plan" | "hash">;
export type ReviewVerb = "submit" | "withdraw" | "approve" | "reject";

interface Words {
  title: string;
  confirm: string;
  failed: string;
  reason: "optional" | "required";
  label: string;
  danger?: boolean;
}

const WORDS: Record<ReviewVerb, Words> = {
  submit: { title: "Submit", confirm: "Submit for review", failed: "It was not submitted", reason: "optional", label: "What the reviewer should know" },
  withdraw: { title: "Withdraw", confirm: "Withdraw", failed: "It was not withdrawn", reason: "required", label: "Reason" },
  approve: { title: "Approve", confirm: "Approve", failed: "It was not approved", reason: "optional", label: "Reason" },
  reject: { title: "Reject", confirm: "Reject", failed: "It was not rejected", reason: "required", label: "Reason", danger: true },
};

export function ReviewDialog({ plural, review: now, verb, onClose }: { plural: string; review: Reviewed; verb: ReviewVerb; onClose: () => void }) {
  const client = useQueryClient();
  // What was there when it opened: the page behind it may learn of another plan, and the yes is not to that one.
  const [review] = useState(now);
  const { name } = review;
  const { number } = review.revision;
  const step = useMutation({
    mutationFn: (text: string) => {
      switch (verb) {
        case "submit":
          return revisionSubmit(plural, name, number, text);
        case "withdraw":
          return revisionWithdraw(plural, name, number, text);
        case "approve":
          return revisionApprove(plural, name, number, review.hash ?? "", text);
        case "reject":
          return revisionReject(plural, name, number, text);
      }
    },
    onSuccess: onClose,
    // Also where it failed: something moved, and the page shows what.
    onSettled: () => {
      for (const key of [["review", plural, name], ["revisions", plural, name], ["resource", plural, name], ["inbox"], ["notifications"]]) {
        void client.invalidateQueries({ queryKey: key });
      }
    },
  });
  const words = WORDS[verb];
  const effects: Record<ReviewVerb, ReactNode> = {
    submit: <p>Asks for a review: somebody else than its authors decides. What is submitted is this revision as it is; other content is another revision.</p>,
    withdraw: <p>Makes a draft of it again. Nobody is asked to decide on it until it is submitted anew.</p>,
    approve: (
      <>
        <p>
          Says yes to <b>{review.plan ? summaryOf(review.plan) : ""}</b>. Nothing is changed yet; r{number} can then be published while nothing moves.
        </p>
        <p>
          The yes is given to this hash: <code className="mono break-all">{review.hash}</code>
        </p>
      </>
    ),
    reject: <p>Says no to r{number}. It stays as it is; its authors are told why, and cut another revision.</p>,
  };
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`${words.title} ${name} r${number}`}
      confirm={words.confirm}
      danger={words.danger}
      reason={words.reason}
      reasonLabel={words.label}
      reasonNote="(told to whom it concerns, and kept in the audit)"
      pending={step.isPending}
      error={step.error}
      failed={words.failed}
      onConfirm={(text) => step.mutate(text)}
      effect={effects[verb]}
    />
  );
}
