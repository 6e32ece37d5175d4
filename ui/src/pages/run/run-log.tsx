import { useNavigate, useSearch } from "@tanstack/react-router";
import type { Run } from "@/api/types";
import { LogView } from "@/components/log/log-view";
import { isRunOver } from "@/lib/state";
import { useRunLog } from "@/live/use-run-log";

export function RunLogPanel({ run, stages, className, compact }: { run: Run; stages: { id: string; name: string }[]; className?: string; compact?: boolean }) {
  const { line } = useSearch({ from: "/app/runs/$run" });
  const navigate = useNavigate({ from: "/runs/$run" });
  const log = useRunLog(run.id, line ?? null);
  return (
    <LogView
      runId={run.id}
      runRef={run.ref}
      log={log}
      live={!isRunOver(run.state)}
      stages={stages}
      attempts={run.attempt}
      focus={line ?? null}
      onFocus={(n) => void navigate({ search: () => ({ tab: "logs", line: n ?? undefined }), replace: true, resetScroll: false })}
      className={className}
      compact={compact}
    />
  );
}
