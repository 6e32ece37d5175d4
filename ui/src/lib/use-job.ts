// Requests that create a job: one idempotency key for each intent, kept while the intent stays the same, so that
// pressing again after a lost answer cannot start the thing twice. The job then goes to the tray.
import { useMutation } from "@tanstack/react-query";
import { useRef } from "react";
import { newIdempotencyKey } from "@/api/client";
import type { JobStarted } from "@/api/types";
import { queryClient } from "@/query-client";
import { trackJob } from "./tracked-jobs";

export function useJobMutation<V>(options: {
  start: (variables: V, idempotencyKey: string) => Promise<JobStarted>;
  title: (variables: V) => string;
  onStarted?: (started: JobStarted, variables: V) => void;
}) {
  const intent = useRef<{ of: string; key: string } | null>(null);
  return useMutation({
    mutationFn: (variables: V) => {
      const of = JSON.stringify(variables);
      if (intent.current?.of !== of) intent.current = { of, key: newIdempotencyKey() };
      return options.start(variables, intent.current.key);
    },
    onSuccess: (started, variables) => {
      intent.current = null;
      trackJob({ id: started.job.id, title: options.title(variables) });
      void queryClient.invalidateQueries({ queryKey: ["jobs"] });
      options.onStarted?.(started, variables);
    },
  });
}
