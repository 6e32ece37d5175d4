// What would change for whom if the working copy of a policy were published. Nothing is changed by asking.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useMay } from "@/access/may";
import { whatIfQuery } from "@/api/queries";
import { Panel } from "@/components/panel";
import { TargetLink } from "@/components/plan-view";
import { Reasons } from "@/components/reasons";
import { Empty, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Button } from "@/components/ui/button";
import { SkeletonRows } from "@/components/ui/skeleton";
import type { DraftProps } from "@/kinds/registry";
import { plural as counted } from "@/lib/format";
import { groupsOf } from "./changes";

const SHOWN = 100;

export default function WhatIfPanel({ resource, spec, valid }: DraftProps) {
  const may = useMay();
  const cedar = typeof spec.cedar === "string" ? spec.cedar : "";
  const [asked, setAsked] = useState<string | null>(null);
  const current = asked === cedar;
  const query = useQuery({ ...whatIfQuery({ name: resource.name, cedar }), enabled: current });
  if (!may("policies.read") || !may("members.list", "tenant")) return null;
  const groups = groupsOf(query.data?.changes ?? []);
  return (
    <Panel
      title="What would change"
      aside={
        <Button size="sm" disabled={!valid || query.isFetching} onClick={() => (current ? void query.refetch() : setAsked(cedar))}>
          {query.isFetching ? "Asking…" : "Ask"}
        </Button>
      }
    >
      {!current ? (
        <Empty title={asked === null ? "Not asked yet" : "The text has changed since"}>Who could do what they cannot now, and who no longer could, if this were published.</Empty>
      ) : query.isError ? (
        <Failure what="It could not be asked" error={query.error} />
      ) : !query.data ? (
        <SkeletonRows rows={3} />
      ) : groups.length === 0 ? (
        <Empty title="Nothing would change">{counted(query.data.asked, "question")} asked, with the same answer before and after.</Empty>
      ) : (
        <>
          <ul aria-label="What would change" className="max-h-96 overflow-y-auto">
            {groups.slice(0, SHOWN).map((group, i) => (
              <li key={i} className="space-y-0.5 border-t px-3.5 py-2 first:border-t-0">
                <p className="flex flex-wrap items-center gap-x-2 gap-y-0.5">
                  <State state={group.after ? "pass" : "denied"} word={group.after ? "Could" : "No longer"} />
                  <b className="font-[540]">{group.principal}</b>
                  {group.object ? <TargetLink target={group.object} className="mono break-all" /> : <span className="text-ink2">the project</span>}
                </p>
                <p className="mono break-words text-ink2">{group.actions.join(", ")}</p>
                {group.because.length > 0 ? (
                  <p className="text-xs text-ink3">
                    <Reasons because={group.because} />
                  </p>
                ) : null}
              </li>
            ))}
          </ul>
          <p className="border-t px-3.5 py-2 text-xs text-ink3">
            {counted(query.data.changes.length, "change")} in {counted(query.data.asked, "question")}
            {groups.length > SHOWN ? `, the first ${SHOWN} lines shown` : ""}
            {query.data.truncated ? "; there was more to ask about" : ""}
          </p>
        </>
      )}
    </Panel>
  );
}
