// The roles that somebody holds everywhere and in the tenant in view, and the way to grant and revoke them.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { useMay } from "@/access/may";
import { membersQuery } from "@/api/queries";
import type { Member } from "@/api/types";
import { GrantDialog, RevokeDialog } from "@/components/role-dialogs";
import { Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { SkeletonRows } from "@/components/ui/skeleton";
import { placeOf } from "@/lib/member";

const MANY = 500;

export function HeldRoles({ name }: { name: string }) {
  const may = useMay();
  const everywhere = useInfiniteQuery({ ...membersQuery("platform", MANY), enabled: may("members.list", "platform") });
  const here = useInfiniteQuery({ ...membersQuery("tenant", MANY), enabled: may("members.list", "tenant") });
  const [granting, setGranting] = useState(false);
  const [revoking, setRevoking] = useState<Member | null>(null);
  const held = [...(everywhere.data ?? []), ...(here.data ?? [])].filter((member) => member.name === name);
  const error = everywhere.error ?? here.error;
  const mayGrant = may("members.grant", "platform") || may("members.grant", "tenant");
  const grant = mayGrant ? (
    <Button size="sm" onClick={() => setGranting(true)}>
      <Plus aria-hidden />
      Grant role…
    </Button>
  ) : null;
  return (
    <Panel title="Roles" aside={grant ?? "everywhere and in this tenant"}>
      {everywhere.isLoading || here.isLoading ? (
        <SkeletonRows rows={2} />
      ) : error ? (
        <Failure what="Could not read the roles" error={error} />
      ) : held.length === 0 ? (
        <Empty title="No role here">It may do nothing in this tenant. Roles in other tenants are on their pages.</Empty>
      ) : (
        <ul>
          {held.map((member) => (
            <li key={`${member.level}/${member.project}/${member.role}/${member.team}`} className="flex flex-wrap items-center gap-x-3 border-t px-3.5 py-2 first:border-t-0">
              <b className="mono font-[560]">{member.role}</b>
              <span className="text-ink2">
                {placeOf(member)}
                {member.team ? `, through ${member.team}` : ""}
              </span>
              <span className="ml-auto flex items-center gap-3 text-xs text-ink3">
                <Ago at={member.granted_at} />
                {!member.team && may("members.revoke", member.level === "platform" ? "platform" : "tenant") ? (
                  <Button size="sm" variant="danger" aria-label={`Revoke ${member.role} ${placeOf(member)}`} onClick={() => setRevoking(member)}>
                    Revoke…
                  </Button>
                ) : null}
              </span>
            </li>
          ))}
        </ul>
      )}
      {granting ? <GrantDialog name={name} onClose={() => setGranting(false)} /> : null}
      {revoking ? <RevokeDialog member={revoking} onClose={() => setRevoking(null)} /> : null}
    </Panel>
  );
}
