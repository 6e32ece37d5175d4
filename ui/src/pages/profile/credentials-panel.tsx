// One's own tokens and sessions: what they are, where they were made, and the way to end them.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { KeyRound, Plus } from "lucide-react";
import { useState } from "react";
import { credentialEnd, ownTokenCreate } from "@/api/mutations";
import { credentialsQuery } from "@/api/queries";
import type { Credential } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Panel } from "@/components/panel";
import { CommandLine, Empty, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Ago, When } from "@/components/time";
import { TokenDialog } from "@/components/token-dialog";
import { Button } from "@/components/ui/button";
import { SkeletonRows } from "@/components/ui/skeleton";
import { agentName } from "./agent";

export function CredentialsPanel() {
  const client = useQueryClient();
  const query = useQuery(credentialsQuery);
  const [making, setMaking] = useState(false);
  const [ending, setEnding] = useState<Credential[] | null>(null);
  const refresh = () => void client.invalidateQueries({ queryKey: ["credentials"] });
  const items = query.data ?? [];
  const tokens = items.filter((item) => item.kind === "token");
  const sessions = items.filter((item) => item.kind !== "token");
  const others = sessions.filter((session) => !session.current);
  const make = (
    <Button variant="primary" size="sm" onClick={() => setMaking(true)}>
      <Plus aria-hidden />
      New token…
    </Button>
  );
  const list = (of: Credential[]) => (
    <ul>
      {of.map((credential) => (
        <CredentialRow key={credential.id} credential={credential} onEnd={() => setEnding([credential])} />
      ))}
    </ul>
  );
  return (
    <div className="grid min-w-0 gap-3.5">
      <Panel title="Tokens" aside={tokens.length > 0 ? make : undefined}>
        {query.isPending ? (
          <SkeletonRows rows={2} />
        ) : query.isError ? (
          <Failure what="Could not read your tokens and sessions" error={query.error} retry={() => void query.refetch()} />
        ) : tokens.length === 0 ? (
          <Empty title="No tokens yet" action={make}>
            A token lets a program act as you, within the limits that you set. <CommandLine>qd login</CommandLine> makes one too.
          </Empty>
        ) : (
          list(tokens)
        )}
      </Panel>
      <Panel
        title="Sessions"
        aside={
          others.length > 0 ? (
            <Button size="sm" variant="danger" onClick={() => setEnding(others)}>
              End all others…
            </Button>
          ) : (
            "browsers in which you are signed in"
          )
        }
      >
        {query.isPending ? <SkeletonRows rows={1} /> : sessions.length > 0 ? list(sessions) : <Empty title="No sessions">You came with a token.</Empty>}
      </Panel>
      {making ? (
        <TokenDialog
          title="New token"
          effect={<p>Whoever has it acts as you, within what is chosen here. The audit names you.</p>}
          create={ownTokenCreate}
          onMade={refresh}
          onClose={() => setMaking(false)}
        />
      ) : null}
      {ending ? <EndDialog of={ending} onDone={refresh} onClose={() => setEnding(null)} /> : null}
    </div>
  );
}

function nameOf(credential: Credential): string {
  if (credential.kind === "token") return credential.label || "A token without a label";
  return agentName(credential.label) || "A session";
}

function CredentialRow({ credential, onEnd }: { credential: Credential; onEnd: () => void }) {
  const token = credential.kind === "token";
  return (
    <li className="flex items-center gap-3 border-t px-3.5 py-2 first:border-t-0 hover:bg-sunken/60">
      <KeyRound className={token ? "size-3.5 shrink-0 text-ink3" : "hidden"} aria-hidden />
      <div className="min-w-0 flex-1">
        <div className="flex flex-wrap items-center gap-x-2.5">
          <b className="font-[540] break-words" title={credential.label}>
            {nameOf(credential)}
          </b>
          {credential.current ? <State state="active" word="This one" /> : null}
        </div>
        <div className="flex flex-wrap gap-x-3 text-ink2">
          <span>
            made <Ago at={credential.created_at} />
            {credential.source ? ` from ${credential.source}` : ""}
          </span>
          <span>
            {credential.expires_at ? (
              <>
                ends <When at={credential.expires_at} />
              </>
            ) : (
              "does not expire"
            )}
          </span>
          {token ? <span className="mono break-all">{credential.allows ? credential.allows.join(", ") : "all that you may"}</span> : null}
        </div>
      </div>
      {credential.current ? null : (
        <Button size="sm" variant="danger" aria-label={`${token ? "Revoke" : "End"} ${nameOf(credential)}`} onClick={onEnd}>
          {token ? "Revoke…" : "End…"}
        </Button>
      )}
    </li>
  );
}

function EndDialog({ of, onDone, onClose }: { of: Credential[]; onDone: () => void; onClose: () => void }) {
  const end = useMutation({
    mutationFn: async () => {
      for (const credential of of) await credentialEnd(credential.id);
    },
    onSettled: onDone,
    onSuccess: onClose,
  });
  const [only] = of;
  const token = only?.kind === "token";
  const one = of.length === 1;
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={one ? `${token ? "Revoke" : "End"} ${only ? nameOf(only) : ""}` : `End ${of.length} sessions`}
      effect={<p>{token ? "Whatever uses this token is refused from now on." : one ? "Who uses this session is signed out." : "You stay signed in here, and are signed out everywhere else. Tokens stay."}</p>}
      confirm={token ? "Revoke token" : one ? "End session" : "End all others"}
      danger
      pending={end.isPending}
      error={end.error}
      failed="Not all of it was ended"
      onConfirm={() => end.mutate()}
    />
  );
}
