// The keys that seal the project's secrets, and their exchange by a job.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useMay } from "@/access/may";
import { secretKeysRotate } from "@/api/mutations";
import { secretKeysQuery } from "@/api/queries";
import type { KeyReading, RotatedKey } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Id } from "@/components/copy";
import { Fact, Facts, Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { SkeletonRows } from "@/components/ui/skeleton";
import { count } from "@/lib/format";
import { useJobMutation } from "@/lib/use-job";

export function KeysPanel() {
  const may = useMay();
  const query = useQuery(secretKeysQuery);
  const [rotating, setRotating] = useState<RotatedKey | null>(null);
  const keys = query.data;
  return (
    <Panel
      title="Keys"
      aside={
        <>
          {keys?.data_key && may("secrets.rotate") ? (
            <Button size="sm" onClick={() => setRotating("data")}>
              Exchange data key…
            </Button>
          ) : null}
          {keys?.master && may("secrets.rotate-master", "platform") ? (
            <Button size="sm" onClick={() => setRotating("master")}>
              Exchange master key…
            </Button>
          ) : null}
        </>
      }
    >
      {query.isPending ? <SkeletonRows rows={1} /> : query.isError ? <Failure what="Could not read the keys" error={query.error} retry={() => void query.refetch()} /> : <Keys keys={query.data} />}
      {rotating ? <RotateDialog of={rotating} onClose={() => setRotating(null)} /> : null}
    </Panel>
  );
}

function Keys({ keys }: { keys: KeyReading }) {
  if (!keys.master) return <Empty title="No key is in force yet">The first secret puts the master key in force that this server holds{keys.held.length === 0 ? ", and it holds none" : ""}.</Empty>;
  const held = keys.held.includes(keys.master);
  return (
    <Facts className="px-3.5 py-3">
      <Fact label="Master key in force">
        <Id id={keys.master} label="master key id" />
        <State state={held ? "ready" : "missing"} word={held ? "Held here" : "Not held by this server"} />
      </Fact>
      {keys.held.length > 1 ? (
        <Fact label="Also held">
          {keys.held
            .filter((id) => id !== keys.master)
            .map((id) => (
              <Id key={id} id={id} label="master key id" />
            ))}
        </Fact>
      ) : null}
      {keys.data_key ? (
        <Fact label="Data key of the tenant">
          <b>number {keys.data_key.number}</b> made <Ago at={keys.data_key.created_at} />
        </Fact>
      ) : null}
      <Fact label="Values under older keys">
        <b className={keys.values_under_older_keys > 0 ? "!text-warn" : undefined}>{count(keys.values_under_older_keys)}</b>
        {keys.values_under_older_keys > 0 ? "an exchange has not ended" : ""}
      </Fact>
    </Facts>
  );
}

function RotateDialog({ of, onClose }: { of: RotatedKey; onClose: () => void }) {
  const rotate = useJobMutation<string>({
    start: (reason, key) => secretKeysRotate(of, reason, key),
    title: () => (of === "data" ? "Exchange the data key" : "Exchange the master key"),
    onStarted: onClose,
  });
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={of === "data" ? "Exchange the data key" : "Exchange the master key"}
      confirm="Start exchange"
      reason="required"
      pending={rotate.isPending}
      error={rotate.error}
      failed="The exchange was not started"
      onConfirm={(reason) => rotate.mutate(reason)}
      effect={
        of === "data" ? (
          <p>A job seals every secret of the tenant under a new data key, and removes the older one at its end. Everything stays readable all the while.</p>
        ) : (
          <p>
            A job wraps the data keys of <b>all tenants</b> under the first master key that the server was given, and seals every secret anew. Each process must hold both keys before it begins; afterwards the old one can be
            taken away.
          </p>
        )
      }
    />
  );
}
