// The audit's filters as a person types them: one field for an id of whatever it is, and times of the clock.
import type { AuditFilters } from "@/api/queries";

export const ID_KINDS = [
  ["object", "object"],
  ["job", "job"],
  ["plan", "plan"],
  ["plan_hash", "plan hash"],
  ["request", "request"],
  ["correlation", "correlation"],
  ["trace", "trace"],
  ["principal", "who acted"],
] as const;

export type IdKind = (typeof ID_KINDS)[number][0];

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const UUIDS: ReadonlySet<IdKind> = new Set(["object", "job", "plan", "principal"]);

/** What a pasted id can only be; null where several fit. */
export function kindOfId(text: string): IdKind | null {
  if (/^sha256:[0-9a-f]+$/i.test(text)) return "plan_hash";
  if (/^[0-9a-f]{32}$/i.test(text)) return "trace";
  return null;
}

/** Half an id is refused by the server: it is asked for when it is whole. */
export function isWholeId(kind: IdKind, text: string): boolean {
  return UUIDS.has(kind) ? UUID.test(text) : text.length > 0;
}

export function idOf(filters: AuditFilters): { kind: IdKind; id: string } | null {
  for (const [kind] of ID_KINDS) {
    const id = filters[kind];
    if (id) return { kind, id };
  }
  return null;
}

export function withId(filters: AuditFilters, kind: IdKind, id: string): AuditFilters {
  const next = { ...filters };
  for (const [each] of ID_KINDS) delete next[each];
  return isWholeId(kind, id) ? { ...next, [kind]: id } : next;
}

/** `2026-11-20T12:00`, as a control of times has it, read as UTC. */
export function toRfc3339(typed: string): string | undefined {
  const at = Date.parse(`${typed}Z`);
  return Number.isNaN(at) ? undefined : new Date(at).toISOString();
}

export function toTyped(rfc3339: string | undefined): string {
  const at = Date.parse(rfc3339 ?? "");
  return Number.isNaN(at) ? "" : new Date(at).toISOString().slice(0, 16);
}

export function isNarrowed({ reach, ...filters }: AuditFilters): boolean {
  void reach;
  return Object.values(filters).some((value) => value !== undefined);
}
