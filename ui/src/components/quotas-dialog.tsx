// The quotas of a tenant or a project: what is used beside what is allowed, and the limits, set by whoever may.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { quotasSet } from "@/api/mutations";
import { quotasQuery } from "@/api/queries";
import type { Limits, Quotas } from "@/api/types";
import { bytes, count, percent } from "@/lib/format";
import { isLimit, LIMITS, limitsFrom, type TypedLimits, typedLimits } from "@/lib/quotas";
import { ConfirmDialog } from "./confirm-dialog";
import { Field } from "./field";
import { Meter } from "./panel";
import { Failure } from "./situation";
import { Button } from "./ui/button";
import { Dialog, DialogBody, DialogClose, DialogContent, DialogFooter, DialogHeader } from "./ui/dialog";
import { Input } from "./ui/input";
import { Skeleton } from "./ui/skeleton";

type Of = "tenants" | "projects";

export function QuotasDialog({ of, name, mayLimit, onClose }: { of: Of; name: string; mayLimit: boolean; onClose: () => void }) {
  const query = useQuery(quotasQuery(of, name));
  if (query.data && mayLimit) return <LimitsDialog key={query.data.version} of={of} quotas={query.data} onClose={onClose} />;
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()}>
      <DialogContent>
        <DialogHeader title={`Quotas of ${name}`} />
        <DialogBody className="space-y-4">
          {query.data ? (
            <Used quotas={query.data} />
          ) : query.isError ? (
            <Failure what="Could not read the quotas" error={query.error} retry={() => void query.refetch()} className="rounded-md border" />
          ) : (
            <Skeleton className="h-24" />
          )}
        </DialogBody>
        <DialogFooter>
          <DialogClose asChild>
            <Button>Close</Button>
          </DialogClose>
        </DialogFooter>
      </DialogContent>
    </Dialog>
  );
}

function Used({ quotas }: { quotas: Quotas }) {
  return LIMITS.map(({ key, label, unit }) => {
    const { limit, usage } = quotas[key];
    const text = unit === "bytes" ? bytes : count;
    return (
      <div key={key}>
        <p>
          {label}: <b className="font-[560]">{text(usage)}</b> <span className="text-ink2">{limit === null ? "used, no limit" : `of ${text(limit)} used`}</span>
        </p>
        <Share usage={usage} limit={limit} label={label} />
      </div>
    );
  });
}

function Share({ usage, limit, label }: { usage: number; limit: number | null; label: string }) {
  const share = percent(usage, limit);
  if (share === null) return null;
  return <Meter className="mt-1.5" label={`${label} used`} value={share} tone={share >= 100 ? "bad" : share >= 80 ? "warn" : "run"} />;
}

function LimitsDialog({ of, quotas, onClose }: { of: Of; quotas: Quotas; onClose: () => void }) {
  const client = useQueryClient();
  const [typed, setTyped] = useState<TypedLimits>(() => typedLimits(quotas));
  const limits = limitsFrom(typed);
  const set = useMutation({
    mutationFn: (to: Limits) => quotasSet(of, quotas.name, to, quotas.version),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["quotas"] });
      onClose();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Quotas of ${quotas.name}`}
      effect={<p>Resources over a limit are refused, runs wait, and logs are not kept. What is there already stays. Without a number there is no limit.</p>}
      confirm="Set limits"
      pending={set.isPending}
      error={set.error}
      failed="The limits were not set"
      blocked={!limits}
      onConfirm={() => {
        if (limits) set.mutate(limits);
      }}
    >
      {LIMITS.map(({ key, label, unit }) => {
        const { limit, usage } = quotas[key];
        return (
          <Field key={key} label={label} hint={unit === "bytes" ? `${bytes(usage)} used${limit === null ? "" : ` of ${bytes(limit)}`}` : `${count(usage)} used`} wrong={isLimit(typed[key]) ? null : "A whole number, or nothing."}>
            <Input
              value={typed[key]}
              inputMode="numeric"
              placeholder="no limit"
              autoComplete="off"
              aria-invalid={isLimit(typed[key]) ? undefined : true}
              onChange={(event) => setTyped((old) => ({ ...old, [key]: event.target.value }))}
            />
            <Share usage={usage} limit={limit} label={label} />
          </Field>
        );
      })}
    </ConfirmDialog>
  );
}
