// A page that wants a right: shown to who has it, and in its place the plain words what is missing, and who gives it.
import { useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { meQuery, rolesQuery } from "@/api/queries";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { Empty } from "@/components/situation";
import { Button } from "@/components/ui/button";
import { covers, PLACE, type Reach, type Right, useMay } from "./may";

const LEVEL: Record<Reach, number> = { some: 0, project: 0, tenant: 1, platform: 2 };

export function Needs({ right, children }: { right: Right; children: ReactNode }) {
  const may = useMay();
  return may(right.action, right.at) ? <>{children}</> : <Missing right={right} />;
}

function Missing({ right: { action, at = "project" } }: { right: Right }) {
  const me = useSuspenseQuery(meQuery).data;
  // A role that is held in a tenant gives nothing on the platform.
  const giving = (useQuery(rolesQuery).data?.roles ?? [])
    .filter((role) => role.levels.some((level) => LEVEL[level] >= LEVEL[at]) && role.allows.some((pattern) => covers(pattern, action)))
    .map((role) => role.name);
  const { roles } = me.principal;
  return (
    <>
      <PageHeader title="Not yours to see" documentTitle="Not yours to see" />
      <Panel>
        <Empty
          title={`This page wants the right ${action} ${PLACE[at]}`}
          action={
            <Button asChild>
              <Link to="/">Go to Home</Link>
            </Button>
          }
        >
          <p>
            In {me.tenant.name} / {me.project.name} you hold {roles.length > 0 ? roles.join(", ") : "no role"}.
          </p>
          {giving.length > 0 ? (
            <p className="mt-1">
              {giving.length === 1 ? "The role that gives it is" : "Roles that give it are"} {giving.join(", ")}: whoever administers {at === "platform" ? "the platform" : "the tenant"} can grant{" "}
              {giving.length === 1 ? "it" : "one"}.
            </p>
          ) : null}
        </Empty>
      </Panel>
    </>
  );
}
