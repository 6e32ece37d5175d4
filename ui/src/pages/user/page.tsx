// One person or service: whether it is let in, which roles it holds, and what it did.
import { useInfiniteQuery, useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { KeyRound, Mail, ShieldOff, ShieldCheck } from "lucide-react";
import { useState } from "react";
import { useMay } from "@/access/may";
import { ApiError } from "@/api/error";
import { userInvite, userTokenCreate, userUpdate } from "@/api/mutations";
import { auditQuery, meQuery, userQuery } from "@/api/queries";
import type { User } from "@/api/types";
import { AuditRows } from "@/components/audit-rows";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Id } from "@/components/copy";
import { PageHeader } from "@/components/page";
import { Fact, Facts, Panel } from "@/components/panel";
import { Failure } from "@/components/situation";
import { Ago } from "@/components/time";
import { TokenDialog } from "@/components/token-dialog";
import { Button } from "@/components/ui/button";
import { NotFound, PagePending } from "@/shell/fallback";
import { AccountState } from "./account-state";
import { HeldRoles } from "./held-roles";
import { InvitationDialog } from "./invitation-dialog";

export default function UserPage() {
  const { name } = useParams({ from: "/app/users/$name" });
  const query = useQuery(userQuery(name));
  if (query.isPending) return <PagePending />;
  if (!query.data) {
    if (query.error instanceof ApiError && query.error.status === 404) return <NotFound />;
    return (
      <Panel>
        <Failure what={`Could not read the account ${name}`} error={query.error} retry={() => void query.refetch()} />
      </Panel>
    );
  }
  return <UserDetail key={query.data.id} user={query.data} />;
}

function UserDetail({ user }: { user: User }) {
  const may = useMay();
  return (
    <>
      <Header user={user} />
      <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1.7fr)_minmax(0,1fr)]">
        <Deeds user={user} everywhere={may("audit.export", "platform")} />
        <HeldRoles name={user.name} />
      </div>
    </>
  );
}

function Deeds({ user, everywhere }: { user: User; everywhere: boolean }) {
  const may = useMay();
  const reach = everywhere ? "platform" : "project";
  const query = useInfiniteQuery({ ...auditQuery({ principal: user.id, reach }), enabled: everywhere || may("audit.read") });
  if (!everywhere && !may("audit.read")) return null;
  return (
    <Panel title="What it did" aside={everywhere ? "on the platform itself, newest first" : "in this project, newest first"}>
      <AuditRows query={query} />
    </Panel>
  );
}

function Header({ user }: { user: User }) {
  const may = useMay();
  const me = useSuspenseQuery(meQuery).data;
  const client = useQueryClient();
  const [dialog, setDialog] = useState<"state" | "invite" | "token" | null>(null);
  const close = () => setDialog(null);
  const refresh = () => {
    void client.invalidateQueries({ queryKey: ["user", user.name] });
    void client.invalidateQueries({ queryKey: ["users"] });
  };
  const suspended = user.state === "suspended";
  const service = user.kind === "service";
  const own = me.principal.id === user.id;
  const update = useMutation({
    mutationFn: () => userUpdate(user.name, { state: suspended ? "active" : "suspended" }, user.version),
    onSuccess: () => {
      close();
      refresh();
    },
  });
  const invite = useMutation({ mutationFn: () => userInvite(user.name), onSuccess: refresh });
  const mayUpdate = may("users.update", "platform");
  return (
    <PageHeader
      documentTitle={user.name}
      title={
        <>
          {user.name}{" "}
          {user.display_name && user.display_name !== user.name ? <span className="text-lg font-normal tracking-normal text-ink3">{user.display_name}</span> : null}
        </>
      }
      note={<AccountState user={user} />}
      actions={
        <>
          {service && may("tokens.create", "platform") ? (
            <Button variant="primary" onClick={() => setDialog("token")}>
              <KeyRound aria-hidden />
              New token…
            </Button>
          ) : null}
          {!service && mayUpdate && !suspended ? (
            <Button onClick={() => setDialog("invite")}>
              <Mail aria-hidden />
              Invite again…
            </Button>
          ) : null}
          {mayUpdate && !own ? (
            <Button variant={suspended ? "default" : "danger"} onClick={() => setDialog("state")}>
              {suspended ? <ShieldCheck aria-hidden /> : <ShieldOff aria-hidden />}
              {suspended ? "Let in again…" : "Suspend…"}
            </Button>
          ) : null}
        </>
      }
    >
      <Facts className="mt-2.5">
        <Fact label="Kind">
          <b>{service ? "Service" : "Person"}</b>
        </Fact>
        <Fact label="Made">
          <Ago at={user.created_at} />
        </Fact>
        {service ? null : <Fact label="Password">{user.has_password ? "chosen" : "none yet"}</Fact>}
        <Fact label="Id">
          <Id id={user.id} label="principal id" />
        </Fact>
      </Facts>
      <ConfirmDialog
        open={dialog === "state"}
        onOpenChange={(open) => !open && close()}
        title={suspended ? `Let ${user.name} in again` : `Suspend ${user.name}`}
        confirm={suspended ? "Let in again" : "Suspend"}
        danger={!suspended}
        pending={update.isPending}
        error={update.error}
        failed={suspended ? "The account stays suspended" : "The account was not suspended"}
        onConfirm={() => update.mutate()}
        effect={
          suspended ? (
            <p>Its password and its tokens work again, with the roles that it holds. Its sessions have ended: whoever it is signs in anew.</p>
          ) : (
            <p>
              The password, the sessions and the tokens of <b>{user.name}</b> stop working, in other processes within five seconds. Roles stay, and it can be let in again.
            </p>
          )
        }
      />
      {dialog === "invite" && !invite.data ? (
        <ConfirmDialog
          open
          onOpenChange={(open) => !open && close()}
          title={`Invite ${user.name} again`}
          confirm="Make invitation"
          pending={invite.isPending}
          error={invite.error}
          failed="No invitation was made"
          onConfirm={() => invite.mutate()}
          effect={<p>Makes a new link with which a password is chosen; earlier invitations no longer work. The present password works until another is chosen.</p>}
        />
      ) : null}
      {dialog === "invite" && invite.data ? (
        <InvitationDialog
          name={user.name}
          invitation={invite.data}
          onClose={() => {
            close();
            invite.reset();
          }}
        />
      ) : null}
      {dialog === "token" ? (
        <TokenDialog
          title={`New token for ${user.name}`}
          effect={
            <p>
              Whoever has it acts as <b>{user.name}</b>, within the roles that the service holds and what is chosen here.
            </p>
          }
          create={(body) => userTokenCreate(user.name, body)}
          onMade={refresh}
          onClose={close}
        />
      ) : null}
    </PageHeader>
  );
}
