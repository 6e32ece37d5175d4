import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import type { Job, Run } from "@/api/types";
import { RunLink } from "@/components/run-link";
import { RunProgressCell } from "@/components/run-progress";
import { Spark } from "@/components/spark";
import { RunState } from "@/components/run-state";
import { State } from "@/components/state";
import { Elapsed } from "@/components/time";
import { rate } from "@/lib/format";

const POINTS = 40;

/** The rate at which a run puts items out, as its last stage does. */
function outRate(run: Run): number | null {
  if (run.serving) return run.serving.rate;
  return run.progress?.stages.at(-1)?.items_per_s ?? null;
}

/** The last rates seen since this page was opened. */
function useRates(run: Run): (number | null)[] {
  const value = outRate(run);
  const [rates, setRates] = useState<(number | null)[]>([value]);
  const seen = useRef(run.progress ?? run.serving);
  const now = run.progress ?? run.serving;
  useEffect(() => {
    if (seen.current === now) return;
    seen.current = now;
    setRates((old) => [...old, value].slice(-POINTS));
  }, [now, value]);
  return rates;
}

function RunRow({ run }: { run: Run }) {
  const rates = useRates(run);
  const value = outRate(run);
  return (
    <tr className="border-t hover:bg-sunken/60">
      <td className="px-3 py-2 first:pl-3.5 last:pr-3.5">
        <RunLink run={run} />
      </td>
      <td className="px-3 py-2 first:pl-3.5 last:pr-3.5">
        <RunState run={run} />
      </td>
      <td className="px-3 py-2 first:pl-3.5 last:pr-3.5 text-right whitespace-nowrap">
        <Elapsed from={run.started_at ?? run.created_at} to={run.ended_at} />
      </td>
      <td className="px-3 py-2 first:pl-3.5 last:pr-3.5 max-sm:hidden">
        <RunProgressCell run={run} />
      </td>
      <td className="px-3 py-2 first:pl-3.5 last:pr-3.5 max-xl:hidden">
        <span className="flex items-center justify-end gap-2">
          <Spark width={64} values={rates} label={`Items out a second of ${run.ref}, now ${rate(value)}`} />
          <span className="w-10 text-right">{rate(value)}</span>
        </span>
      </td>
    </tr>
  );
}

export function RunningNow({ runs, jobs }: { runs: Run[]; jobs: Job[] }) {
  const th = "px-3 py-1.5 first:pl-3.5 last:pr-3.5 text-left text-xs font-[520] text-ink3";
  return (
    <div className="overflow-x-auto">
      <table className="w-full border-collapse" aria-label="Running now">
        <thead>
          <tr>
            <th scope="col" className={th}>
              What
            </th>
            <th scope="col" className={th}>
              State
            </th>
            <th scope="col" className={`${th} text-right`}>
              Elapsed
            </th>
            <th scope="col" className={`${th} max-sm:hidden`}>
              Progress
            </th>
            <th scope="col" className={`${th} text-right max-xl:hidden`}>
              Items/s
            </th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <RunRow key={run.id} run={run} />
          ))}
          {jobs.map((job) => (
            <tr key={job.id} className="border-t hover:bg-sunken/60">
              <td className="px-3 py-2 first:pl-3.5 last:pr-3.5">
                <Link to="/jobs/$job" params={{ job: job.id }} className="link">
                  {job.operation} {job.resource?.name}
                </Link>
              </td>
              <td className="px-3 py-2 first:pl-3.5 last:pr-3.5">
                <State state={job.state} />
              </td>
              <td className="px-3 py-2 first:pl-3.5 last:pr-3.5 text-right whitespace-nowrap">
                <Elapsed from={job.started_at ?? job.created_at} to={job.ended_at} />
              </td>
              <td colSpan={2} className="px-3 py-2 first:pl-3.5 last:pr-3.5 text-ink2 max-sm:hidden">
                <span className="line-clamp-1" title={job.waiting_for ?? undefined}>
                  {job.waiting_for ? `waits for ${job.waiting_for}` : ""}
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
