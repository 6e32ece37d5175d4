// Testing a connection: the server calls what it leads to, and what that came to is kept with its age.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { connectionTest } from "@/api/mutations";
import type { ConnectionStatus, ResourceDetail } from "@/api/types";

export function statusOf(resource: ResourceDetail): ConnectionStatus | null {
  return (resource as ResourceDetail & { status?: ConnectionStatus }).status ?? null;
}

/** Shared by all that show the same connection: a test that runs is seen in each. */
export function useConnectionTest(name: string) {
  const client = useQueryClient();
  return useMutation({
    mutationKey: ["connection-test", name],
    mutationFn: () => connectionTest(name),
    onSettled: () => {
      void client.invalidateQueries({ queryKey: ["resource", "connections", name] });
      void client.invalidateQueries({ queryKey: ["audit"] });
    },
  });
}
