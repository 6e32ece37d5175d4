// The matrix of roles by what they act on: for each plural what a role may do with it, in few words.
import { covers, READ_VERBS } from "@/access/may";
import type { RoleMatrix } from "@/api/types";

export interface MatrixRow {
  plural: string;
  verbs: string[];
  /** By role: the verbs that it allows. */
  allowed: Record<string, string[]>;
}

export function rowsOf({ roles, actions }: RoleMatrix): MatrixRow[] {
  const verbs = new Map<string, string[]>();
  for (const action of actions) {
    const at = action.lastIndexOf(".");
    const plural = action.slice(0, at);
    verbs.set(plural, [...(verbs.get(plural) ?? []), action.slice(at + 1)]);
  }
  return [...verbs.entries()]
    .map(([plural, of]) => ({
      plural,
      verbs: of,
      allowed: Object.fromEntries(roles.map((role) => [role.name, of.filter((verb) => role.allows.some((pattern) => covers(pattern, `${plural}.${verb}`)))])),
    }))
    .sort((a, b) => a.plural.localeCompare(b.plural));
}

/** `all`, `reads`, `reads and 2 more`, `cancel`: what a cell says before it is opened. */
export function cellWords(all: readonly string[], allowed: readonly string[]): string {
  if (allowed.length === 0) return "–";
  if (allowed.length === all.length) return "all";
  const writes = allowed.filter((verb) => !READ_VERBS.includes(verb));
  const reads = allowed.length > writes.length;
  if (writes.length === 0) return "reads";
  const said = writes.length > 2 ? `${writes.length} writes` : writes.join(", ");
  return reads ? `reads, ${said}` : said;
}
