import { expect, it } from "vitest";
import type { HeldRole, Level } from "@/api/types";
import { covers, mayOf } from "./may";
import { placeName, placesOf } from "./places";
import { roomsFor } from "./rooms";

it("looks at a right at its own level", () => {
  const may = mayOf({ permissions: ["runs.list", "members.list"], some_permissions: [], tenant_permissions: ["teams.list"], platform_permissions: [] });
  expect(may("runs.list")).toBe(true);
  expect(may("runs.list", "tenant")).toBe(false);
  expect(may("members.list", "tenant")).toBe(false);
  expect(mayOf({ permissions: ["*"], some_permissions: [], tenant_permissions: [], platform_permissions: [] })("runs.list")).toBe(true);
  expect(roomsFor(may).map((room) => room.to)).toEqual(["/runs", "/reviews", "/teams", "/roles"]);
});

it("shows whom something is shared with the pages that are about it, and no others", () => {
  const some = ["runs.list", "runs.read", "audit.read", "secrets.list", "members.list"];
  const may = mayOf({ permissions: ["kinds.list"], some_permissions: some, tenant_permissions: [], platform_permissions: [] });
  expect(may("runs.read")).toBe(false);
  expect(may("runs.read", "some")).toBe(true);
  expect(roomsFor(may).map((room) => room.to)).toEqual(["/runs", "/reviews", "/audit", "/roles"]);
});

it("reads the patterns of roles as the server does", () => {
  for (const [pattern, action, covered] of [
    ["*", "jobs.cancel", true],
    ["jobs.*", "jobs.cancel", true],
    ["*.cancel", "jobs.cancel", true],
    ["read", "jobs.list", true],
    ["read", "pipelines.validate", true],
    ["read", "jobs.cancel", false],
    ["job.*", "jobs.cancel", false],
    ["jobs.cancel", "jobs.cancels", false],
  ] as const) {
    expect(covers(pattern, action), `${pattern} ${action}`).toBe(covered);
  }
});

const held = (level: Level, tenant: string | null, project: string | null = null): HeldRole => ({
  role: "viewer",
  level,
  tenant,
  project,
  team: null,
  granted_by: "owner",
  granted_at: "2026-11-20T12:00:00Z",
});
const names = (...of: Parameters<typeof placesOf>) => placesOf(...of).map(placeName);

it("offers the places in which one holds a role, those of the tenant in view first", () => {
  expect(names("acme", ["acme", "zeta", "beta"], ["default", "lab"], [held("platform", null)])).toEqual(["acme / default", "acme / lab", "beta", "zeta"]);
  expect(names("acme", ["acme", "beta"], [], [held("project", "acme", "lab"), held("tenant", "beta")])).toEqual(["acme / lab", "beta"]);
  expect(names(null, ["acme", "beta"], [], [held("project", "acme", "lab"), held("tenant", "beta")])).toEqual(["acme / lab", "beta"]);
  // By a team or a share alone.
  expect(names(null, ["acme", "beta"], [], [held("project", "acme", "lab")])).toEqual(["acme / lab", "beta"]);
});
