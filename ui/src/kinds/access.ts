// What a kind has, read from GET /kinds: nothing about a kind is known here but what the server says of it.
import { useQueries, useSuspenseQuery } from "@tanstack/react-query";
import { useMay } from "@/access/may";
import { anyResourceQuery, kindsQuery } from "@/api/queries";
import type { KindInfo } from "@/api/types";

export function useKinds(): KindInfo[] {
  return useSuspenseQuery(kindsQuery).data;
}

/** The kinds of which one sees something. Who may read single resources alone sees the kinds that these are of. */
export function useSeenKinds(): KindInfo[] {
  const may = useMay();
  const kinds = useKinds().filter((kind) => may(`${kind.plural}.list`, "some"));
  const partly = kinds.filter((kind) => !may(`${kind.plural}.list`)).map((kind) => kind.plural);
  const found = useQueries({ queries: partly.map(anyResourceQuery) });
  return kinds.filter(({ plural }) => !partly.includes(plural) || found[partly.indexOf(plural)]?.data === true);
}

export function useKind(plural: string): KindInfo | null {
  return useKinds().find((kind) => kind.plural === plural) ?? null;
}

/** The plural that a kind's name belongs to, for links from runs, jobs, events and audit records. */
export function usePluralOf(): (kind: string | null | undefined) => string | null {
  const kinds = useKinds();
  return (name) => kinds.find((kind) => kind.kind === name || kind.plural === name)?.plural ?? null;
}

/** What one item of the kind is called in a sentence. */
export function nounOf(kind: KindInfo): string {
  return kind.singular || kind.kind.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

export function titleOf(kind: KindInfo): string {
  return kind.title || kind.plural.charAt(0).toUpperCase() + kind.plural.slice(1);
}

/** Whether the route's last part (`publish`, `runs`, …) is one that the kind has. */
export function hasRoute(kind: KindInfo, part: string): boolean {
  if (part === "runs") return kind.runnable;
  if (!kind.routes || kind.routes.length === 0) return true;
  return kind.routes.some((route) => route.split(/[\s/]+/).includes(part));
}

export function wantsReason(kind: KindInfo, verb: string): boolean {
  return kind.actions.find((action) => action.verb === verb)?.reason ?? false;
}
