// The violations of the saved working copy, asked for once per version.
import { useQuery } from "@tanstack/react-query";
import { specValidate } from "@/api/mutations";
import type { WorkingCopy } from "@/api/types";

export function useChecks(plural: string, name: string, copy: WorkingCopy | undefined) {
  const query = useQuery({
    queryKey: ["checks", plural, name, copy?.version],
    queryFn: () => specValidate(plural, name),
    enabled: copy !== undefined,
    staleTime: Infinity,
  });
  const violations = query.data?.violations ?? null;
  return { violations, pending: query.isFetching, error: violations ? null : query.error, again: () => void query.refetch() };
}
