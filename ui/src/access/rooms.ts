// The pages that do not belong to a kind: where they stand in the navigation, and the right without which they are not shown.
// Those that show what is about a resource are there for whom it is shared with, too.
// Navigation, palette, breadcrumb and the pages' own guard read this one table.
import type { May, Right } from "./may";

export type Group = "build" | "operate" | "understand" | "platform" | "access";

/** In this order; a kind of a group that is not known here stands under Build. */
export const GROUPS: readonly (readonly [Group, string])[] = [
  ["build", "Build"],
  ["operate", "Operate"],
  ["understand", "Understand"],
  ["platform", "Platform"],
  ["access", "Access"],
];

export interface Room {
  to: `/${string}`;
  label: string;
  group: Group;
  right?: Right;
}

export const ROOMS = [
  { to: "/runs", label: "Runs", group: "operate", right: { action: "runs.list", at: "some" } },
  { to: "/jobs", label: "Jobs", group: "operate", right: { action: "jobs.list", at: "some" } },
  { to: "/plans", label: "Plans", group: "operate", right: { action: "plans.list", at: "some" } },
  { to: "/engines", label: "Engines", group: "operate", right: { action: "engines.list" } },
  { to: "/reviews", label: "Reviews", group: "understand" },
  { to: "/events", label: "Events", group: "understand", right: { action: "events.list", at: "some" } },
  { to: "/audit", label: "Audit", group: "understand", right: { action: "audit.read", at: "some" } },
  { to: "/secrets", label: "Secrets", group: "platform", right: { action: "secrets.list" } },
  { to: "/members", label: "Members", group: "access", right: { action: "members.list", at: "tenant" } },
  { to: "/teams", label: "Teams", group: "access", right: { action: "teams.list", at: "tenant" } },
  { to: "/roles", label: "Roles", group: "access" },
  { to: "/projects", label: "Projects", group: "access", right: { action: "projects.list" } },
  { to: "/users", label: "Users and services", group: "access", right: { action: "users.list", at: "platform" } },
  { to: "/tenants", label: "Tenants", group: "access", right: { action: "tenants.list", at: "platform" } },
] as const satisfies readonly Room[];

export type RoomPath = (typeof ROOMS)[number]["to"];

export function roomsFor(may: May): (Room & { to: RoomPath })[] {
  return ROOMS.filter((room: Room) => !room.right || may(room.right.action, room.right.at));
}

export function roomAt(path: RoomPath): Room {
  const found = ROOMS.find(({ to }) => to === path);
  if (!found) throw new Error(`${path} is no page`);
  return found;
}
