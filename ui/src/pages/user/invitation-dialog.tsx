import type { Invitation } from "@/api/types";
import { OnceDialog } from "@/components/once-dialog";

export function InvitationDialog({ name, invitation, onClose }: { name: string; invitation: Invitation; onClose: () => void }) {
  return (
    <OnceDialog title={`Invitation of ${name}`} label="invitation link" value={invitation.url} expiresAt={invitation.expires_at} onClose={onClose}>
      Give this link to <b className="font-[560] text-ink">{name}</b> by a way that nobody else reads. Whoever opens it chooses the password of the account.
    </OnceDialog>
  );
}
