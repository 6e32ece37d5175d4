// Who holds which role in the tenant and its projects, and everywhere; granted and revoked here.
import { useInfiniteQuery, useSuspenseQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { UserPlus } from "lucide-react";
import { useMemo, useState } from "react";
import { type May, useMay } from "@/access/may";
import { membersQuery, meQuery } from "@/api/queries";
import type { Member } from "@/api/types";
import { columnsFor, DataTable } from "@/components/data-table";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { GrantDialog, RevokeDialog } from "@/components/role-dialogs";
import { CommandLine, Empty } from "@/components/situation";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { placeOf } from "@/lib/member";

const column = columnsFor<Member>();

function useColumns(may: May, own: string, onRevoke: (member: Member) => void) {
  return useMemo(
    () => [
      column.display({
        id: "name",
        header: "Name",
        cell: ({ row: { original: member } }) => (
          <div className="sm:min-w-32">
            {may("users.read", "platform") ? (
              <Link to="/users/$name" params={{ name: member.name }} className="link font-[540]">
                {member.name}
              </Link>
            ) : (
              <b className="font-[540]">{member.name}</b>
            )}
            {member.kind === "service" ? <span className="ml-2 text-xs text-ink3">service</span> : null}
            {member.display_name && member.display_name !== member.name ? <div className="line-clamp-1 text-ink2">{member.display_name}</div> : null}
          </div>
        ),
      }),
      column.display({
        id: "role",
        header: "Role",
        cell: ({ row: { original: member } }) => (
          <>
            <span className="mono whitespace-nowrap">{member.role}</span>
            <div className="sm:hidden">
              <Place member={member} />
            </div>
          </>
        ),
      }),
      column.display({ id: "place", header: "Where", meta: { from: "sm" }, cell: ({ row }) => <Place member={row.original} /> }),
      column.display({
        id: "granted",
        header: "Granted",
        meta: { from: "md", className: "whitespace-nowrap" },
        cell: ({ row: { original: member } }) => (
          <span className="text-ink2">
            {member.granted_by ? `by ${member.granted_by} ` : ""}
            <Ago at={member.granted_at} />
          </span>
        ),
      }),
      column.display({
        id: "revoke",
        header: () => <span className="sr-only">Revoke</span>,
        meta: { align: "right" },
        cell: ({ row: { original: member } }) =>
          member.name !== own && !member.team && may("members.revoke", member.level === "platform" ? "platform" : "tenant") ? (
            <Button size="sm" variant="danger" aria-label={`Revoke ${member.role} from ${member.name} ${placeOf(member)}`} onClick={() => onRevoke(member)}>
              Revoke…
            </Button>
          ) : null,
      }),
    ],
    [may, own, onRevoke],
  );
}

const keyOf = (member: Member) => `${member.principal_id}/${member.role}/${member.level}/${member.project}/${member.team}`;

/** Where a role is held, and through which team: then it is the team's, and is taken from the team. */
function Place({ member }: { member: Member }) {
  return (
    <span className="text-ink2">
      {placeOf(member)}
      {member.team ? (
        <>
          , through{" "}
          <Link to="/teams/$name" params={{ name: member.team }} className="link">
            {member.team}
          </Link>
        </>
      ) : null}
    </span>
  );
}

export default function MemberListPage() {
  const may = useMay();
  const me = useSuspenseQuery(meQuery).data;
  const here = useInfiniteQuery(membersQuery("tenant"));
  const mayEverywhere = may("members.list", "platform");
  const everywhere = useInfiniteQuery({ ...membersQuery("platform"), enabled: mayEverywhere });
  const [granting, setGranting] = useState(false);
  const [revoking, setRevoking] = useState<Member | null>(null);
  const columns = useColumns(may, me.principal.name, setRevoking);
  const grant = may("members.grant", "tenant") ? (
    <Button variant="primary" onClick={() => setGranting(true)}>
      <UserPlus aria-hidden />
      Grant role…
    </Button>
  ) : null;
  return (
    <>
      <PageHeader title="Members" documentTitle="Members" note={<span className="text-ink2">who holds which role in {me.tenant.name}</span>} actions={grant} />
      <div className="grid gap-3.5">
        <Panel title={`In ${me.tenant.name}`} aside="the tenant and its projects">
          <DataTable
            label={`Members of ${me.tenant.name}`}
            noun="role"
            columns={columns}
            query={here}
            rowKey={keyOf}
            empty={
              <Empty title="Nobody holds a role in this tenant yet" action={grant}>
                Only those who hold one everywhere get in. Grant one here, or with <CommandLine>qd members grant NAME ROLE</CommandLine>.
              </Empty>
            }
          />
        </Panel>
        {mayEverywhere ? (
          <Panel title="Everywhere" aside="the platform and every tenant">
            <DataTable label="Roles held everywhere" noun="role" columns={columns} query={everywhere} rowKey={keyOf} empty={<Empty title="Nobody" />} />
          </Panel>
        ) : null}
      </div>
      {granting ? <GrantDialog onClose={() => setGranting(false)} /> : null}
      {revoking ? <RevokeDialog member={revoking} onClose={() => setRevoking(null)} /> : null}
    </>
  );
}
