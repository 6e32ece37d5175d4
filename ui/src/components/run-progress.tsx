// How far a run is: items of the total where the total is known, else what it has put out.
import type { Run } from "@/api/types";
import { count, percent } from "@/lib/format";
import { Meter } from "./panel";

export function RunProgressCell({ run }: { run: Run }) {
  if (run.serving) {
    return (
      <span className="whitespace-nowrap text-ink2">
        {count(run.serving.answered)} answered
      </span>
    );
  }
  const progress = run.progress;
  const outputs = run.results?.outputs ?? progress?.outputs;
  if (!progress) return <span className="text-ink3">{outputs === undefined ? "–" : `${count(outputs)} out`}</span>;
  const share = percent(progress.inputs_done, progress.inputs_total);
  if (run.state === "running" && share !== null) {
    return (
      <span className="flex items-center gap-2">
        <Meter value={share} label={`Progress of ${run.ref}`} className="w-20" />
        <span className="w-10 text-right">{Math.floor(share)} %</span>
      </span>
    );
  }
  return (
    <span className="whitespace-nowrap text-ink2">
      {count(outputs ?? 0)} out{progress.dropped > 0 ? <span className="text-warn">, {count(progress.dropped)} dropped</span> : null}
    </span>
  );
}
