// Whom a resource belongs to, and with whom it is shared beside what roles give; and what all of it comes to.
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { UserPlus } from "lucide-react";
import { useState } from "react";
import { useMayOn } from "@/access/may";
import { resourceShare, resourceUnshare } from "@/api/mutations";
import { meQuery, sharingQuery } from "@/api/queries";
import type { Holder, Share } from "@/api/types";
import { AccessQuestion } from "@/components/access-question";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Field } from "@/components/field";
import { Panel } from "@/components/panel";
import { PrincipalInput } from "@/components/principal-input";
import { CommandLine, Empty, Failure } from "@/components/situation";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { NativeSelect } from "@/components/ui/input";
import { SkeletonRows } from "@/components/ui/skeleton";
import type { TabProps } from "@/kinds/registry";

const TEAM = "team:";

/** What each allows on the resource, its runs, jobs and plans; each what those before it do. */
const ALLOWS: Record<Share, string> = {
  viewer: "Sees it, its runs, logs and audit.",
  operator: "The same, and runs, stops and tests it.",
  editor: "The same, and changes and publishes it.",
  owner: "Everything, sharing it included.",
};
const OFFERED = ["viewer", "operator", "editor"] as const satisfies readonly Share[];

export default function SharingTab({ kind, resource }: TabProps) {
  const query = useQuery(sharingQuery(kind.plural, resource.name));
  const mayShare = useMayOn(kind.plural, resource.name)("share") && resource.state !== "archived";
  const [sharing, setSharing] = useState<Holder | "new" | null>(null);
  const [ending, setEnding] = useState<Holder | null>(null);
  const of = { plural: kind.plural, name: resource.name };
  const share = mayShare ? (
    <Button variant="primary" size="sm" onClick={() => setSharing("new")}>
      <UserPlus aria-hidden />
      Share…
    </Button>
  ) : null;
  return (
    <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1fr)_minmax(0,1fr)]">
      <Panel title="Shared with" aside={share ?? "beside what roles give"}>
        {query.isPending ? (
          <SkeletonRows rows={3} />
        ) : query.isError ? (
          <Failure what="Could not read with whom it is shared" error={query.error} retry={() => void query.refetch()} />
        ) : query.data.length === 0 ? (
          <Empty title="Shared with nobody">
            Only roles and policies reach it. {mayShare ? "Share it with a person, a service or a team here, or with" : "Whoever owns it shares it with"} <CommandLine>{`qd share ${kind.plural}/${resource.name} NAME`}</CommandLine>.
          </Empty>
        ) : (
          <ul aria-label="Shared with">
            {query.data.map((holder) => (
              <HolderRow key={`${holder.holder}/${holder.as}`} holder={holder} mayShare={mayShare} onChange={() => setSharing(holder)} onEnd={() => setEnding(holder)} />
            ))}
          </ul>
        )}
      </Panel>
      <AccessQuestion of={of} />
      {sharing ? <ShareDialog {...of} holder={sharing === "new" ? undefined : sharing} onClose={() => setSharing(null)} /> : null}
      {ending ? <UnshareDialog {...of} holder={ending} onClose={() => setEnding(null)} /> : null}
    </div>
  );
}

function HolderRow({ holder, mayShare, onChange, onEnd }: { holder: Holder; mayShare: boolean; onChange: () => void; onEnd: () => void }) {
  const me = useSuspenseQuery(meQuery).data;
  const team = holder.holder.startsWith(TEAM) ? holder.holder.slice(TEAM.length) : null;
  return (
    <li className="flex flex-wrap items-center gap-x-3 gap-y-1 border-t px-3.5 py-2 first:border-t-0">
      <div className="min-w-0 flex-1">
        <div className="flex flex-wrap items-baseline gap-x-2">
          {team ? (
            <Link to="/teams/$name" params={{ name: team }} className="link font-[540] break-all">
              {team}
            </Link>
          ) : (
            <b className="font-[540] break-all">{holder.holder}</b>
          )}
          {team ? <span className="text-xs text-ink3">team</span> : null}
          <span className="mono">{holder.as}</span>
        </div>
        <p className="text-ink2">
          {ALLOWS[holder.as]} {holder.as === "owner" && mayShare ? "Changed under “Edit details…”. " : null}
          <span className="text-ink3">
            By {holder.by} <Ago at={holder.since} />
          </span>
        </p>
      </div>
      {mayShare && holder.as !== "owner" && holder.holder !== me.principal.name ? (
        <span className="flex gap-1.5">
          <Button size="sm" aria-label={`Change what ${holder.holder} may`} onClick={onChange}>
            Change…
          </Button>
          <Button size="sm" variant="danger" aria-label={`Share it with ${holder.holder} no longer`} onClick={onEnd}>
            Remove…
          </Button>
        </span>
      ) : null}
    </li>
  );
}

interface Of {
  plural: string;
  name: string;
}

function useRefresh({ plural, name }: Of): () => void {
  const client = useQueryClient();
  return () => {
    for (const key of [["sharing", plural, name], ["access"], ["audit"]]) void client.invalidateQueries({ queryKey: key });
  };
}

function ShareDialog({ plural, name, holder: given, onClose }: Of & { holder?: Holder; onClose: () => void }) {
  const refresh = useRefresh({ plural, name });
  const [holder, setHolder] = useState(given?.holder ?? "");
  const [as, setAs] = useState<Share>(given?.as ?? "viewer");
  const share = useMutation({
    mutationFn: () => resourceShare(plural, name, holder, as),
    onSuccess: () => {
      refresh();
      onClose();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={given ? `Change what ${given.holder} may` : `Share ${name}`}
      effect={<p>{ALLOWS[as]} It reaches {name} alone, with its runs, jobs and plans, and takes effect at once.</p>}
      confirm={given ? "Change" : "Share"}
      pending={share.isPending}
      error={share.error}
      failed="It was not shared"
      blocked={!holder || given?.as === as}
      onConfirm={() => share.mutate()}
    >
      {given ? null : (
        <Field label="Name of the person or service" hint="or team: and a team's name">
          <PrincipalInput value={holder} onChange={setHolder} teams />
        </Field>
      )}
      <Field label="As">
        <NativeSelect value={as} onChange={(event) => setAs(OFFERED.find((each) => each === event.target.value) ?? "viewer")}>
          {OFFERED.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </NativeSelect>
      </Field>
    </ConfirmDialog>
  );
}

function UnshareDialog({ plural, name, holder, onClose }: Of & { holder: Holder; onClose: () => void }) {
  const refresh = useRefresh({ plural, name });
  const end = useMutation({
    mutationFn: () => resourceUnshare(plural, name, holder.holder),
    onSuccess: () => {
      refresh();
      onClose();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Share ${name} with ${holder.holder} no longer`}
      confirm="Remove"
      danger
      pending={end.isPending}
      error={end.error}
      failed="It is shared as before"
      onConfirm={() => end.mutate()}
      effect={
        <p>
          <b>{holder.holder}</b> is no longer {holder.as} of it. What roles and policies allow stays; what has begun goes on.
        </p>
      }
    />
  );
}
