import { useQueryClient } from "@tanstack/react-query";
import { runRetry, runStop } from "@/api/mutations";
import type { Run } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { count } from "@/lib/format";
import { useJobMutation } from "@/lib/use-job";

function useRefresh(run: Run) {
  const client = useQueryClient();
  return () => {
    void client.invalidateQueries({ queryKey: ["run"] });
    void client.invalidateQueries({ queryKey: ["runs"] });
    void client.invalidateQueries({ queryKey: ["events", "of-run", run.id] });
  };
}

export function StopDialog({ run, onClose }: { run: Run; onClose: () => void }) {
  const refresh = useRefresh(run);
  const stop = useJobMutation({
    start: (reason: string, key) => runStop(run.id, reason, key),
    title: () => `stop ${run.ref}`,
    onStarted: () => {
      onClose();
      refresh();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Stop ${run.ref}`}
      confirm="Stop run"
      danger
      planned={(reason) => ({ operation: "stop", run: run.id, reason })}
      reason="optional"
      pending={stop.isPending}
      error={stop.error}
      failed="The run was not asked to stop"
      onConfirm={(reason) => stop.mutate(reason)}
      effect={
        run.serving ? (
          <>
            <p>
              Closes the intake, answers what is outstanding (<b>{count(run.serving.in_flight + run.serving.queued)}</b> now), then ends the run.
            </p>
            <p>Requests that come later are refused. Every process of it is gone within 10 s.</p>
          </>
        ) : (
          <>
            <p>
              Asks the pipeline to end; what is left after a grace is killed. Every process of it is gone within 10 s, and the run ends as <b>stopped</b>.
            </p>
            <p>
              What it has written so far stays{run.progress ? <> (<b>{count(run.progress.outputs)}</b> items out)</> : null}. It can be retried, from the beginning.
            </p>
          </>
        )
      }
    />
  );
}

export function RetryDialog({ run, onClose }: { run: Run; onClose: () => void }) {
  const refresh = useRefresh(run);
  const retry = useJobMutation({
    start: (reason: string, key) => runRetry(run.id, reason, key),
    title: () => `retry ${run.ref}`,
    onStarted: () => {
      onClose();
      refresh();
    },
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Retry ${run.ref}`}
      confirm={`Start attempt ${run.attempt + 1}`}
      planned={(reason) => ({ operation: "retry", run: run.id, reason })}
      reason="optional"
      pending={retry.isPending}
      error={retry.error}
      failed="The run was not retried"
      onConfirm={(reason) => retry.mutate(reason)}
      effect={
        <>
          <p>
            Starts attempt <b>{run.attempt + 1}</b> of the same run: revision <b>r{run.revision}</b> with the same params, from the beginning.
          </p>
          <p>Its log goes on in the same place. To run a newer revision, start a new run instead.</p>
        </>
      }
    />
  );
}
