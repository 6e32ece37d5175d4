// What the server tells once and never again: an invitation, a token.
import type { ReactNode } from "react";
import { CopyButton } from "@/components/copy";
import { Button } from "@/components/ui/button";
import { Dialog, DialogBody, DialogClose, DialogContent, DialogFooter, DialogHeader } from "@/components/ui/dialog";
import { When } from "./time";

export function OnceDialog({
  title,
  label,
  value,
  expiresAt,
  onClose,
  children,
}: {
  title: string;
  /** What it is, for a screen reader and on the button: "invitation link", "token". */
  label: string;
  value: string;
  expiresAt?: string | null;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()}>
      <DialogContent onInteractOutside={(event) => event.preventDefault()}>
        <DialogHeader title={title} />
        <DialogBody className="space-y-3">
          <div className="text-ink2">{children}</div>
          <output aria-label={label} className="mono block rounded-md border bg-sunken px-3 py-2.5 break-all select-all">
            {value}
          </output>
          <div className="flex flex-wrap items-center gap-3">
            <CopyButton text={value} label={`Copy ${label}`} />
            <span className="text-xs text-ink3">
              {expiresAt ? (
                <>
                  It works until <When at={expiresAt} />.
                </>
              ) : (
                "It works until it is revoked."
              )}
            </span>
          </div>
          <p className="text-ink">It is shown this once. Only a hash of it is kept, so nobody can show it again.</p>
        </DialogBody>
        <DialogFooter>
          <DialogClose asChild>
            <Button variant="primary">Done</Button>
          </DialogClose>
        </DialogFooter>
      </DialogContent>
    </Dialog>
  );
}
