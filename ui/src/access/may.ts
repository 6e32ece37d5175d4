// What one may do, as GET /me says it. The server decides each request all the same: this only spares people what would be
// refused.
import { useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { meQuery, resourceQuery } from "@/api/queries";
import type { Level, Me } from "@/api/types";

/** Where a right is looked at. `some` is the project or single resources of it: what is shared, what a policy singles out. */
export type Reach = Level | "some";

/** An action, and where it is looked at. */
export interface Right {
  action: string;
  at?: Reach;
}

export type May = (action: string, at?: Reach) => boolean;

export function mayOf(me: Pick<Me, "permissions" | "some_permissions" | "tenant_permissions" | "platform_permissions">): May {
  const held: Record<Reach, string[]> = {
    some: [...me.permissions, ...me.some_permissions],
    project: me.permissions,
    tenant: me.tenant_permissions,
    platform: me.platform_permissions,
  };
  return (action, at = "project") => held[at].some((pattern) => covers(pattern, action));
}

export function useMay(): May {
  const me = useSuspenseQuery(meQuery).data;
  return useMemo(() => mayOf(me), [me]);
}

/** Whether one may do something with resources of a kind: `publish`, `edit`, `run`. */
export function useMayDo(plural: string | null | undefined): (verb: string) => boolean {
  const may = useMay();
  return useCallback((verb) => Boolean(plural) && may(`${plural}.${verb}`), [may, plural]);
}

/** The same with one resource, as the server says it of that one: through sharing and policies as well. */
export function useMayOn(plural: string | null | undefined, name: string): (verb: string) => boolean {
  const allowed = useQuery({ ...resourceQuery(plural ?? "", name), enabled: Boolean(plural) }).data?.allowed;
  return useCallback((verb) => Boolean(allowed?.includes(`${plural}.${verb}`)), [allowed, plural]);
}

/** Whether a pattern of a role stands for an action: as the server has it. */
export function covers(pattern: string, action: string): boolean {
  const [plural, verb] = [action.slice(0, action.lastIndexOf(".")), action.slice(action.lastIndexOf(".") + 1)];
  if (pattern === "*" || pattern === action || pattern === `${plural}.*` || pattern === `*.${verb}`) return true;
  return pattern === "read" && READ_VERBS.includes(verb);
}

export const READ_VERBS = ["read", "list", "validate"];

export const PLACE: Record<Reach, string> = { some: "in this project, or to something in it", project: "in this project", tenant: "in this tenant", platform: "on the platform" };
