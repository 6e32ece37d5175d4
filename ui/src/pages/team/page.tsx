// One team: who is in it, and the roles that everybody in it holds.
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Trash2, UserPlus } from "lucide-react";
import { useState } from "react";
import { useMay } from "@/access/may";
import { ApiError } from "@/api/error";
import { teamDelete, teamMemberAdd, teamMemberRemove } from "@/api/mutations";
import { meQuery, teamQuery } from "@/api/queries";
import type { TeamDetail } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Id } from "@/components/copy";
import { Field } from "@/components/field";
import { PageHeader } from "@/components/page";
import { Fact, Facts, Panel } from "@/components/panel";
import { GrantDialog, RevokeDialog } from "@/components/role-dialogs";
import { Empty, Failure } from "@/components/situation";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { PrincipalInput } from "@/components/principal-input";
import { placeOf } from "@/lib/member";
import { NotFound, PagePending } from "@/shell/fallback";

/** How a team is named where a person's name could stand as well. */
const AS_HOLDER = "team:";

export default function TeamPage() {
  const { name } = useParams({ from: "/app/teams/$name" });
  const query = useQuery(teamQuery(name));
  if (query.isPending) return <PagePending />;
  if (!query.data) {
    if (query.error instanceof ApiError && query.error.status === 404) return <NotFound />;
    return (
      <Panel>
        <Failure what={`Could not read the team ${name}`} error={query.error} retry={() => void query.refetch()} />
      </Panel>
    );
  }
  return <TeamView key={query.data.id} team={query.data} />;
}

function useRefresh(team: string): () => void {
  const client = useQueryClient();
  return () => {
    for (const key of [["team", team], ["teams"], ["members"], ["audit"]]) void client.invalidateQueries({ queryKey: key });
  };
}

function TeamView({ team }: { team: TeamDetail }) {
  const may = useMay();
  const [deleting, setDeleting] = useState(false);
  return (
    <>
      <PageHeader
        documentTitle={team.name}
        title={
          <>
            {team.name}{" "}
            {team.display_name && team.display_name !== team.name ? <span className="text-lg font-normal tracking-normal text-ink3">{team.display_name}</span> : null}
          </>
        }
        actions={
          may("teams.delete", "tenant") ? (
            <Button variant="danger" onClick={() => setDeleting(true)}>
              <Trash2 aria-hidden />
              Delete…
            </Button>
          ) : null
        }
      >
        <Facts className="mt-2.5">
          <Fact label="Made by">
            <b>{team.created_by}</b> <Ago at={team.created_at} />
          </Fact>
          <Fact label="Id">
            <Id id={team.id} label="team id" />
          </Fact>
        </Facts>
      </PageHeader>
      <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1.7fr)_minmax(0,1fr)]">
        <People team={team} />
        <Roles team={team} />
      </div>
      {deleting ? <DeleteDialog team={team} onClose={() => setDeleting(false)} /> : null}
    </>
  );
}

function People({ team }: { team: TeamDetail }) {
  const may = useMay();
  const me = useSuspenseQuery(meQuery).data;
  const refresh = useRefresh(team.name);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<string | null>(null);
  const remove = useMutation({
    mutationFn: (person: string) => teamMemberRemove(team.name, person),
    onSuccess: () => {
      setRemoving(null);
      refresh();
    },
  });
  const mayUpdate = may("teams.update", "tenant");
  const add = mayUpdate ? (
    <Button variant="primary" size="sm" onClick={() => setAdding(true)}>
      <UserPlus aria-hidden />
      Add somebody…
    </Button>
  ) : null;
  return (
    <Panel title="In it" aside={add}>
      {team.people.length === 0 ? (
        <Empty title="Nobody is in it yet">Whoever is added holds the roles of the team at once.</Empty>
      ) : (
        <ul>
          {team.people.map((person) => (
            <li key={person.principal_id} className="flex flex-wrap items-center gap-x-3 border-t px-3.5 py-2 first:border-t-0">
              <b className="font-[540]">{person.name}</b>
              <span className="text-ink2">{person.display_name}</span>
              {person.kind === "service" ? <span className="text-xs text-ink3">service</span> : null}
              <span className="ml-auto flex items-center gap-3 text-xs text-ink3">
                <span className="max-sm:hidden">
                  by {person.added_by} <Ago at={person.added_at} />
                </span>
                {mayUpdate && person.name !== me.principal.name ? (
                  <Button size="sm" variant="danger" aria-label={`Take ${person.name} out`} onClick={() => setRemoving(person.name)}>
                    Take out…
                  </Button>
                ) : null}
              </span>
            </li>
          ))}
        </ul>
      )}
      {adding ? <AddDialog team={team} onClose={() => setAdding(false)} /> : null}
      <ConfirmDialog
        open={removing !== null}
        onOpenChange={(open) => !open && setRemoving(null)}
        title={`Take ${removing ?? ""} out of ${team.name}`}
        confirm="Take out"
        danger
        pending={remove.isPending}
        error={remove.error}
        failed="Nobody was taken out"
        onConfirm={() => removing && remove.mutate(removing)}
        effect={
          <p>
            <b>{removing}</b> no longer holds what the team holds. Roles of one’s own stay.
          </p>
        }
      />
    </Panel>
  );
}

function AddDialog({ team, onClose }: { team: TeamDetail; onClose: () => void }) {
  const refresh = useRefresh(team.name);
  const [name, setName] = useState("");
  const add = useMutation({
    mutationFn: () => teamMemberAdd(team.name, name),
    onSuccess: () => {
      refresh();
      onClose();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Add somebody to ${team.name}`}
      confirm="Add"
      pending={add.isPending}
      error={add.error}
      failed="Nobody was added"
      blocked={!name}
      onConfirm={() => add.mutate()}
      effect={<p>{team.roles.length > 0 ? `Whoever is added holds ${team.roles.map((role) => `${role.role} ${placeOf(role)}`).join(", ")}.` : "The team holds no role yet."}</p>}
    >
      <Field label="Name of the person or service">
        <PrincipalInput value={name} onChange={setName} />
      </Field>
    </ConfirmDialog>
  );
}

function Roles({ team }: { team: TeamDetail }) {
  const may = useMay();
  const refresh = useRefresh(team.name);
  const [granting, setGranting] = useState(false);
  const [revoking, setRevoking] = useState<TeamDetail["roles"][number] | null>(null);
  const holder = `${AS_HOLDER}${team.name}`;
  return (
    <Panel
      title="Roles"
      aside={
        may("members.grant", "tenant") ? (
          <Button size="sm" onClick={() => setGranting(true)}>
            Grant role…
          </Button>
        ) : (
          "everybody in it holds them"
        )
      }
    >
      {team.roles.length === 0 ? (
        <Empty title="It holds no role">Being in it allows nothing yet.</Empty>
      ) : (
        <ul>
          {team.roles.map((role) => (
            <li key={`${role.project}/${role.role}`} className="flex flex-wrap items-center gap-x-3 border-t px-3.5 py-2 first:border-t-0">
              <b className="mono font-[560]">{role.role}</b>
              <span className="text-ink2">{placeOf(role)}</span>
              {may("members.revoke", "tenant") ? (
                <Button size="sm" variant="danger" className="ml-auto" aria-label={`Revoke ${role.role} ${placeOf(role)}`} onClick={() => setRevoking(role)}>
                  Revoke…
                </Button>
              ) : null}
            </li>
          ))}
        </ul>
      )}
      {granting ? (
        <GrantDialog
          name={holder}
          onClose={() => {
            setGranting(false);
            refresh();
          }}
        />
      ) : null}
      {revoking ? (
        <RevokeDialog
          member={{ name: holder, ...revoking }}
          onClose={() => {
            setRevoking(null);
            refresh();
          }}
        />
      ) : null}
    </Panel>
  );
}

function DeleteDialog({ team, onClose }: { team: TeamDetail; onClose: () => void }) {
  const navigate = useNavigate();
  const refresh = useRefresh(team.name);
  const remove = useMutation({
    mutationFn: () => teamDelete(team.name),
    onSuccess: async () => {
      await navigate({ to: "/teams" });
      refresh();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Delete the team ${team.name}`}
      confirm="Delete team"
      danger
      pending={remove.isPending}
      error={remove.error}
      failed="The team was not deleted"
      onConfirm={() => remove.mutate()}
      effect={<p>Takes the team away with the roles that it holds. Its members stay, with their own roles.</p>}
    />
  );
}
