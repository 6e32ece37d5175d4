// Whether the chain of the audit holds, as this server finds it: up to which record, since when, or which record is bad.
import { useQuery } from "@tanstack/react-query";
import { RotateCw } from "lucide-react";
import { useState } from "react";
import { auditChainQuery, auditVerifyQuery } from "@/api/queries";
import { Id } from "@/components/copy";
import { Fact, Facts } from "@/components/panel";
import { CommandLine, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { Dialog, DialogBody, DialogContent, DialogFooter, DialogHeader } from "@/components/ui/dialog";
import { Skeleton } from "@/components/ui/skeleton";
import { count } from "@/lib/format";
import { badgeOf } from "./verdict";

type Reach = "tenant" | "platform";

function useProof(reach: Reach) {
  const verified = useQuery(auditVerifyQuery(reach));
  const chain = useQuery(auditChainQuery(reach));
  return {
    verified,
    chain,
    at: verified.dataUpdatedAt > 0 ? new Date(verified.dataUpdatedAt).toISOString() : null,
    again: () => void Promise.all([verified.refetch(), chain.refetch()]),
  };
}

export function VerifyBadge({ reach }: { reach: Reach }) {
  const [open, setOpen] = useState(false);
  const { verified, chain, at, again } = useProof(reach);
  const badge = badgeOf(verified.data, verified.error, verified.isFetching);
  return (
    <>
      <button
        type="button"
        data-testid="verify-badge"
        aria-haspopup="dialog"
        title="What this server finds in its own chain"
        onClick={() => setOpen(true)}
        className="inline-flex min-h-7 items-center gap-2 rounded-full text-left max-sm:min-h-11"
      >
        <State state={badge.state} word={badge.word} tone={badge.tone} />
        {at ? <Ago at={at} className="text-xs text-ink3" /> : null}
      </button>
      <Dialog open={open} onOpenChange={setOpen}>
        <DialogContent>
          <DialogHeader title={`The chain of the ${reach}`} />
          <DialogBody className="space-y-4">
            {verified.isError ? <Failure what="It could not be verified" error={verified.error} className="rounded-md border" /> : null}
            {verified.data ? (
              <p className="flex flex-wrap items-center gap-2">
                <State state={badge.state} word={badge.word} tone={badge.tone} />
                <span className="min-w-0 break-words">{verified.data.detail}</span>
              </p>
            ) : verified.isPending ? (
              <Skeleton className="h-5" />
            ) : null}
            {chain.isError ? <Failure what="The chain could not be read" error={chain.error} className="rounded-md border" /> : null}
            {chain.data ? <ChainFacts chain={chain.data} from={verified.data?.from ?? null} to={verified.data?.to ?? null} /> : null}
            <p className="text-ink2">
              This is the server’s own word. Whoever trusts neither it nor the database verifies an export: <CommandLine>qd audit verify audit.jsonl --key audit.pub --checkpoint checkpoint.json</CommandLine>
            </p>
          </DialogBody>
          <DialogFooter>
            <Button onClick={again} disabled={verified.isFetching}>
              <RotateCw aria-hidden />
              {verified.isFetching ? "Verifying…" : "Verify again"}
            </Button>
          </DialogFooter>
        </DialogContent>
      </Dialog>
    </>
  );
}

function ChainFacts({ chain, from, to }: { chain: NonNullable<ReturnType<typeof useProof>["chain"]["data"]>; from: number | null; to: number | null }) {
  const { checkpoint } = chain;
  const signs = chain.keys.find((key) => key.retired_at === null);
  return (
    <Facts>
      {from !== null && to !== null ? (
        <Fact label="Verified records">
          <b>
            {count(from)} to {count(to)}
          </b>
        </Fact>
      ) : null}
      <Fact label="Last sealed record">
        <b>{count(chain.seq)}</b> {chain.sealed_at ? <Ago at={chain.sealed_at} /> : null}
      </Fact>
      <Fact label="Signed up to">
        {checkpoint ? (
          <>
            <b>{count(checkpoint.seq)}</b> <Ago at={checkpoint.at} />
          </>
        ) : (
          "no checkpoint yet"
        )}
      </Fact>
      {chain.pruned ? (
        <Fact label="Removed up to">
          <b>{count(chain.pruned.seq)}</b> {chain.pruned.why}
        </Fact>
      ) : null}
      <Fact label="Key">{signs ? <Id id={signs.key_id} label="key id" /> : "none"}</Fact>
      <Fact label="Chain hash">
        <Id id={chain.chain_hash} label="chain hash" />
      </Fact>
      <Fact label="Chain">
        <Id id={chain.chain} label="chain name" />
      </Fact>
      {chain.unsigned ? (
        <Fact label="Signing">
          <span className="text-warn">{chain.unsigned}</span>
        </Fact>
      ) : null}
    </Facts>
  );
}
