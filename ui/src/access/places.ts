// Where somebody can work: the projects of the tenant in view, and the other tenants that he may know of, with those projects
// of theirs in which he holds a role. A tenant in which he holds none is one in which he is in a team or something is shared
// with him; where it is, is not told, so its default project is offered.
import type { HeldRole } from "@/api/types";

export interface Place {
  tenant: string;
  /** None is the tenant's default project. */
  project: string | null;
}

/** The same place has the same text. */
export function placeName({ tenant, project }: Place): string {
  return project ? `${tenant} / ${project}` : tenant;
}

export function placesOf(here: string | null, tenants: readonly string[], projects: readonly string[], held: readonly HeldRole[]): Place[] {
  const places = new Map<string, Place>();
  const add = (place: Place) => places.set(placeName(place), place);
  for (const project of projects) if (here) add({ tenant: here, project });
  // Who holds a role in the whole tenant, or everywhere, has its default project; who holds one in a project has that.
  const whole = new Set(held.filter((role) => role.level === "tenant" && role.tenant).map((role) => role.tenant));
  const everywhere = held.some((role) => role.level === "platform");
  for (const tenant of tenants) {
    if (tenant === here && projects.length > 0) continue;
    if (everywhere || whole.has(tenant) || !held.some((role) => role.tenant === tenant)) add({ tenant, project: null });
  }
  for (const role of held) if (role.tenant && role.project) add({ tenant: role.tenant, project: role.project });
  const first = (place: Place) => (place.tenant === here ? 0 : 1);
  return [...places.values()].sort((a, b) => first(a) - first(b) || placeName(a).localeCompare(placeName(b)));
}
