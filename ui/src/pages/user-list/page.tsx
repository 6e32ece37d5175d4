// Everybody who can sign in or call: people and services. A person comes by an invitation, a service by its tokens.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { UserPlus } from "lucide-react";
import { useState } from "react";
import { useMay } from "@/access/may";
import { usersQuery } from "@/api/queries";
import type { User } from "@/api/types";
import { columnsFor, DataTable } from "@/components/data-table";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { CommandLine, Empty } from "@/components/situation";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { AccountState } from "@/pages/user/account-state";
import { NewUserDialog } from "./new-user-dialog";

const column = columnsFor<User>();

const columns = [
  column.display({
    id: "name",
    header: "Name",
    cell: ({ row: { original: user } }) => (
      <div className="sm:min-w-40">
        <Link to="/users/$name" params={{ name: user.name }} className="link hit-text font-[540]">
          {user.name}
        </Link>
        {user.display_name && user.display_name !== user.name ? <div className="line-clamp-1 text-ink2">{user.display_name}</div> : null}
      </div>
    ),
  }),
  column.display({ id: "kind", header: "Kind", meta: { from: "sm" }, cell: ({ row }) => (row.original.kind === "service" ? "Service" : "Person") }),
  column.display({ id: "state", header: "State", cell: ({ row }) => <AccountState user={row.original} /> }),
  column.display({
    id: "created",
    header: "Made",
    meta: { align: "right", from: "sm", className: "whitespace-nowrap" },
    cell: ({ row }) => <Ago at={row.original.created_at} className="text-ink2" />,
  }),
];

export default function UserListPage() {
  const may = useMay();
  const query = useInfiniteQuery(usersQuery());
  const [making, setMaking] = useState(false);
  const create = may("users.create", "platform") ? (
    <Button variant="primary" onClick={() => setMaking(true)}>
      <UserPlus aria-hidden />
      New person or service…
    </Button>
  ) : null;
  return (
    <>
      <PageHeader title="Users and services" documentTitle="Users" note={<span className="text-ink2">who can sign in or call</span>} actions={create} />
      <Panel>
        <DataTable
          label="Users and services"
          noun="account"
          columns={columns}
          query={query}
          rowKey={(user) => user.id}
          empty={
            <Empty title="Nobody yet" action={create}>
              Invite somebody here, or with <CommandLine>qd users create NAME</CommandLine>.
            </Empty>
          }
        />
      </Panel>
      {making ? <NewUserDialog onClose={() => setMaking(false)} /> : null}
    </>
  );
}
