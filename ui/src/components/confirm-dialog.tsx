// The one dialog before an action: what it does, the reason where one is kept, and what went wrong if it did.
import { type ReactNode, useId, useState } from "react";
import type { PlannedChange } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Dialog, DialogBody, DialogClose, DialogContent, DialogFooter, DialogHeader } from "@/components/ui/dialog";
import { Input } from "@/components/ui/input";
import { PlanPreview, useRefusal } from "./plan-preview";
import { Failure } from "./situation";

export function ConfirmDialog({
  open,
  onOpenChange,
  title,
  effect,
  confirm,
  danger = false,
  reason = "none",
  reasonLabel = "Reason",
  reasonNote = "(kept with the job and in the audit)",
  planned,
  pending,
  error,
  failed,
  onConfirm,
  wide = false,
  blocked = false,
  children,
}: {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  /** What will happen, before it is taken. */
  effect: ReactNode;
  confirm: string;
  danger?: boolean;
  reason?: "none" | "optional" | "required";
  reasonLabel?: string;
  /** Said beside a reason that is required. */
  reasonNote?: string;
  /** The change with its reason, where it can be planned: its plan is shown. */
  planned?: ((reason: string) => PlannedChange) | null;
  pending: boolean;
  error: unknown;
  /** What to say when it fails: "The run was not stopped". */
  failed: string;
  onConfirm: (reason: string) => void;
  wide?: boolean;
  blocked?: boolean;
  children?: ReactNode;
}) {
  const [text, setText] = useState("");
  const missing = reason === "required" && !text.trim();
  const refused = useId();
  const refusal = useRefusal(planned && open ? planned("") : null);
  const held = missing || pending || blocked || refusal !== null;
  return (
    <Dialog open={open} onOpenChange={onOpenChange}>
      <DialogContent wide={wide}>
        <form
          className="contents"
          onSubmit={(event) => {
            event.preventDefault();
            // A dialog may stand within a form of the page, which it does not send.
            event.stopPropagation();
            if (!held) onConfirm(text.trim());
          }}
        >
          <DialogHeader title={title} />
          <DialogBody className="space-y-4">
            <div className="space-y-1 text-ink2 [&_b]:font-[560] [&_b]:text-ink">{effect}</div>
            {children}
            {planned && open ? <PlanPreview change={planned("")} kept={planned(text.trim())} incomplete={missing} /> : null}
            {reason !== "none" ? (
              <label className="block">
                <span className="mb-1 block text-xs text-ink2">
                  {reasonLabel} <span className="text-ink3">{reason === "required" ? reasonNote : "(optional)"}</span>
                </span>
                <Input value={text} onChange={(event) => setText(event.target.value)} required={reason === "required"} maxLength={500} />
              </label>
            ) : null}
            {error ? <Failure what={failed} error={error} className="rounded-md border" /> : null}
          </DialogBody>
          <DialogFooter>
            {refusal ? (
              <p id={refused} className="mr-auto min-w-0 text-xs text-ink2">
                {refusal}
              </p>
            ) : null}
            <DialogClose asChild>
              <Button>Cancel</Button>
            </DialogClose>
            <Button type="submit" variant={danger ? "destructive" : "primary"} disabled={held} aria-describedby={refusal ? refused : undefined}>
              {pending ? "Sending…" : confirm}
            </Button>
          </DialogFooter>
        </form>
      </DialogContent>
    </Dialog>
  );
}
