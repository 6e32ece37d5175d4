// The teams of the tenant: whoever is in one holds what it holds.
import { useInfiniteQuery, useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { useState } from "react";
import { useMay } from "@/access/may";
import { teamCreate } from "@/api/mutations";
import { meQuery, teamsQuery } from "@/api/queries";
import type { Team } from "@/api/types";
import { columnsFor, DataTable } from "@/components/data-table";
import { NamedDialog } from "@/components/named-dialog";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { CommandLine, Empty } from "@/components/situation";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";

const column = columnsFor<Team>();

const columns = [
  column.display({
    id: "name",
    header: "Name",
    cell: ({ row: { original: team } }) => (
      <div className="sm:min-w-32">
        <Link to="/teams/$name" params={{ name: team.name }} className="link hit-text font-[540]">
          {team.name}
        </Link>
        {team.display_name && team.display_name !== team.name ? <div className="line-clamp-1 text-ink2">{team.display_name}</div> : null}
      </div>
    ),
  }),
  column.display({ id: "members", header: "Members", meta: { align: "right" }, cell: ({ row }) => row.original.members }),
  column.display({
    id: "created",
    header: "Made",
    meta: { align: "right", from: "sm", className: "whitespace-nowrap" },
    cell: ({ row: { original: team } }) => (
      <span className="text-ink2">
        by {team.created_by} <Ago at={team.created_at} />
      </span>
    ),
  }),
];

export default function TeamListPage() {
  const may = useMay();
  const { tenant } = useSuspenseQuery(meQuery).data;
  const query = useInfiniteQuery(teamsQuery());
  const [making, setMaking] = useState(false);
  const create = may("teams.create", "tenant") ? (
    <Button variant="primary" onClick={() => setMaking(true)}>
      <Plus aria-hidden />
      New team…
    </Button>
  ) : null;
  return (
    <>
      <PageHeader title="Teams" documentTitle="Teams" note={<span className="text-ink2">of {tenant.name}</span>} actions={create} />
      <Panel>
        <DataTable
          label="Teams"
          noun="team"
          columns={columns}
          query={query}
          rowKey={(team) => team.id}
          empty={
            <Empty title="No teams yet" action={create}>
              Whoever is in a team holds the roles that it holds. Make one here, or with <CommandLine>qd teams create NAME</CommandLine>.
            </Empty>
          }
        />
      </Panel>
      {making ? <CreateDialog onClose={() => setMaking(false)} /> : null}
    </>
  );
}

function CreateDialog({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const make = useMutation({
    mutationFn: teamCreate,
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["teams"] });
      onClose();
    },
  });
  return (
    <NamedDialog
      title="New team"
      effect={<p>Makes a team that nobody is in and that holds no role. Its page adds people, and grants it roles.</p>}
      confirm="Make team"
      pending={make.isPending}
      error={make.error}
      failed="The team was not made"
      onConfirm={(named) => make.mutate(named)}
      onClose={onClose}
    />
  );
}
