// Granting and revoking a role. Which roles there are, and where each can be held, the server says.
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useMay } from "@/access/may";
import { roleGrant, roleRevoke } from "@/api/mutations";
import { meQuery, rolesQuery } from "@/api/queries";
import type { Level, Member } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Field } from "@/components/field";
import { PrincipalInput } from "@/components/principal-input";
import { NativeSelect } from "@/components/ui/input";
import { placeOf } from "@/lib/member";
import { useProjectNames } from "@/shell/scope-switch";

function useRefresh(): () => void {
  const client = useQueryClient();
  return () => {
    void client.invalidateQueries({ queryKey: ["members"] });
    void client.invalidateQueries({ queryKey: ["audit"] });
  };
}

export function GrantDialog({ name: given, role: chosen, onClose }: { name?: string; role?: string; onClose: () => void }) {
  const may = useMay();
  const refresh = useRefresh();
  const me = useSuspenseQuery(meQuery).data;
  const matrix = useQuery(rolesQuery).data;
  const projects = useProjectNames();
  const [name, setName] = useState(given ?? "");
  const [typedRole, setRole] = useState(chosen ?? "");
  const [typedPlace, setPlace] = useState("");
  const grant = useMutation({
    mutationFn: roleGrant,
    onSuccess: () => {
      refresh();
      onClose();
    },
  });

  // A team belongs to a tenant, and holds nothing everywhere.
  const mayAt = (level: Level) => (level !== "platform" || !name.startsWith("team:")) && may("members.grant", level === "platform" ? "platform" : "tenant");
  const roles = (matrix?.roles ?? []).filter((role) => role.levels.some(mayAt));
  const role = roles.find((each) => each.name === typedRole) ?? roles.find((each) => each.name === "viewer") ?? roles[0];
  const places = [
    ...(role?.levels.includes("tenant") && mayAt("tenant") ? [["tenant", `all of ${me.tenant.name}`]] : []),
    ...(role?.levels.includes("project") && mayAt("project") ? projects.map((project) => [`project/${project}`, `${me.tenant.name} / ${project}`]) : []),
    ...(role?.levels.includes("platform") && mayAt("platform") ? [["platform", "everywhere: the platform and every tenant"]] : []),
  ];
  const place = places.find(([id]) => id === typedPlace)?.[0] ?? places[0]?.[0] ?? "";
  const [at, project] = place.startsWith("project/") ? (["project", place.slice("project/".length)] as const) : ([place === "platform" ? "platform" : "tenant", null] as const);

  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={given ? `Grant ${given} a role` : "Grant a role"}
      effect={role ? <p>{role.summary} It takes effect at once, in other processes within five seconds.</p> : null}
      confirm="Grant role"
      pending={grant.isPending}
      error={grant.error}
      failed="The role was not granted"
      blocked={!name.trim() || !role || !place}
      onConfirm={() => role && grant.mutate({ name: name.trim(), role: role.name, at, project })}
    >
      {given ? null : (
        <Field label="Name of the person or service" hint="or team: and a team's name">
          <PrincipalInput value={name} onChange={setName} teams />
        </Field>
      )}
      <Field label="Role">
        <NativeSelect value={role?.name ?? ""} onChange={(event) => setRole(event.target.value)}>
          {roles.map((each) => (
            <option key={each.name} value={each.name}>
              {each.name}
            </option>
          ))}
        </NativeSelect>
      </Field>
      <Field label="Where">
        <NativeSelect value={place} onChange={(event) => setPlace(event.target.value)}>
          {places.map(([id, label]) => (
            <option key={id} value={id}>
              {label}
            </option>
          ))}
        </NativeSelect>
      </Field>
    </ConfirmDialog>
  );
}

export function RevokeDialog({ member, onClose }: { member: Pick<Member, "name" | "role" | "level" | "project">; onClose: () => void }) {
  const refresh = useRefresh();
  const revoke = useMutation({
    mutationFn: () => roleRevoke({ name: member.name, role: member.role, at: member.level, project: member.project }),
    onSuccess: () => {
      refresh();
      onClose();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Revoke ${member.role} from ${member.name}`}
      confirm="Revoke role"
      danger
      pending={revoke.isPending}
      error={revoke.error}
      failed="The role was not revoked"
      onConfirm={() => revoke.mutate()}
      effect={
        <p>
          <b>{member.name}</b> no longer holds <b>{member.role}</b> {placeOf(member)}. Other roles stay; what has begun goes on.
        </p>
      }
    />
  );
}
