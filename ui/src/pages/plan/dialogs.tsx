// The three things that can be done with a plan. An approval is given to the hash that stands in the dialog.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { newIdempotencyKey } from "@/api/client";
import { planApply, planApprove, planReject } from "@/api/mutations";
import type { StoredPlan } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { summaryOf } from "@/lib/plan";
import { trackJob } from "@/lib/tracked-jobs";

function useRefresh(plan: StoredPlan) {
  const client = useQueryClient();
  return () => {
    void client.invalidateQueries({ queryKey: ["plan", plan.id] });
    void client.invalidateQueries({ queryKey: ["plans"] });
    void client.invalidateQueries({ queryKey: ["explain", "plans", plan.id] });
  };
}

export function ApproveDialog({ plan, onClose }: { plan: StoredPlan; onClose: () => void }) {
  const refresh = useRefresh(plan);
  const approve = useMutation({
    mutationFn: (reason: string) => planApprove(plan.id, plan.hash, reason),
    onSuccess: () => {
      refresh();
      onClose();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Approve ${plan.operation}`}
      confirm="Approve"
      reason="optional"
      pending={approve.isPending}
      error={approve.error}
      failed="It was not approved"
      onConfirm={(reason) => approve.mutate(reason)}
      effect={
        <>
          <p>
            Says yes to <b>{summaryOf(plan.plan)}</b>, as <b>{plan.created_by}</b> planned it. Nothing is changed yet; it can then be applied while nothing moves.
          </p>
          <p>
            The yes is given to this hash: <code className="mono break-all">{plan.hash}</code>
          </p>
        </>
      }
    />
  );
}

export function RejectDialog({ plan, onClose }: { plan: StoredPlan; onClose: () => void }) {
  const refresh = useRefresh(plan);
  const reject = useMutation({
    mutationFn: (reason: string) => planReject(plan.id, reason),
    onSuccess: () => {
      refresh();
      onClose();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Reject ${plan.operation}`}
      confirm="Reject"
      danger
      reason="required"
      reasonLabel="Reason"
      reasonNote="(kept with the plan and in the audit)"
      pending={reject.isPending}
      error={reject.error}
      failed="It was not rejected"
      onConfirm={(reason) => reject.mutate(reason)}
      effect={<p>The plan can never be applied then. Whoever still wants the change makes a new one.</p>}
    />
  );
}

export function ApplyDialog({ plan, onClose }: { plan: StoredPlan; onClose: () => void }) {
  const refresh = useRefresh(plan);
  const client = useQueryClient();
  const navigate = useNavigate();
  const [key] = useState(newIdempotencyKey);
  const apply = useMutation({
    mutationFn: () => planApply(plan.id, key),
    onSuccess: ({ job }) => {
      refresh();
      onClose();
      if (!job) return;
      trackJob({ id: job.id, title: `apply ${plan.operation}` });
      void client.invalidateQueries({ queryKey: ["jobs"] });
      void navigate({ to: "/jobs/$job", params: { job: job.id } });
    },
    // It may have found that something moved.
    onError: refresh,
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Apply ${plan.operation}`}
      confirm="Apply"
      pending={apply.isPending}
      error={apply.error}
      failed="It was not applied"
      onConfirm={() => apply.mutate()}
      effect={
        <>
          <p>
            Carries out <b>{summaryOf(plan.plan)}</b>, if everything that the plan rests on is still so. If something moved, nothing is done and it says what.
          </p>
          {plan.plan.postconditions.length > 0 ? <p>Afterwards {plan.plan.postconditions.join("; ")}.</p> : null}
        </>
      }
    />
  );
}
