import type { Member } from "@/api/types";

/** Where a role is held, in words. */
export function placeOf({ level, project }: Pick<Member, "level" | "project">): string {
  if (level === "platform") return "everywhere";
  return project ? `in project ${project}` : "in all of the tenant";
}
