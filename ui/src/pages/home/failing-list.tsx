import type { Run } from "@/api/types";
import { RunLink } from "@/components/run-link";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { count } from "@/lib/format";

export function FailingList({ runs }: { runs: Run[] }) {
  return (
    <ul>
      {runs.map((run) => {
        const failure = run.failure;
        const stage = failure?.stage ? (run.progress?.stages.find((each) => each.id === failure.stage)?.name ?? failure.stage) : null;
        return (
          <li key={run.id} className="flex items-center gap-3 border-t px-3.5 py-2 first:border-t-0 hover:bg-sunken/60">
            <div className="min-w-0 flex-1">
              <div className="flex flex-wrap items-baseline gap-x-2">
                <RunLink run={run} />
                <Ago at={run.ended_at} className="text-xs text-ink3" />
              </div>
              <p className="line-clamp-2 break-words text-ink2">
                {stage ? (
                  <>
                    stage <b className="font-[560] text-ink">{stage}</b>:{" "}
                  </>
                ) : null}
                {failure?.message ?? run.message ?? run.code ?? "no message"}
                {failure?.batch != null ? ` (batch ${count(failure.batch)})` : ""}
              </p>
            </div>
            <State state="failed" />
          </li>
        );
      })}
    </ul>
  );
}
