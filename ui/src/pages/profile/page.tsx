// What is one's own: who one is, where one holds which role, the password, tokens and sessions.
import { useSuspenseQuery } from "@tanstack/react-query";
import { meQuery } from "@/api/queries";
import { Id } from "@/components/copy";
import { PageHeader } from "@/components/page";
import { Fact, Facts } from "@/components/panel";
import { CredentialsPanel } from "./credentials-panel";
import { PasswordPanel } from "./password-panel";
import { RolesPanel } from "./roles-panel";

export default function ProfilePage() {
  const { principal, tenant, project } = useSuspenseQuery(meQuery).data;
  return (
    <>
      <PageHeader title={principal.name} documentTitle="Profile" note={<span className="text-ink2">your account</span>}>
        <Facts className="mt-2.5">
          <Fact label="Kind">
            <b>{principal.kind === "user" ? "Person" : "Service"}</b>
          </Fact>
          <Fact label={`Roles in ${tenant.name} / ${project.name}`}>
            <b>{principal.roles.join(", ") || "none"}</b>
          </Fact>
          <Fact label="Id">
            <Id id={principal.id} label="principal id" />
          </Fact>
        </Facts>
      </PageHeader>
      <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1.7fr)_minmax(0,1fr)]">
        <CredentialsPanel />
        <div className="grid min-w-0 gap-3.5">
          <RolesPanel />
          {principal.kind === "user" ? <PasswordPanel /> : null}
        </div>
      </div>
    </>
  );
}
