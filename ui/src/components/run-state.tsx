// The state of a run, wherever runs are listed; with its age where nothing is known of it.
import type { Run } from "@/api/types";
import { doubtOf, shownRunState } from "@/lib/state";
import { State } from "./state";
import { Ago } from "./time";

export function RunState({ run }: { run: Run }) {
  const doubt = doubtOf(run);
  return (
    <span className="inline-flex flex-wrap items-center gap-x-1.5" title={doubt?.reason}>
      <State state={shownRunState(run)} />
      {doubt ? <Ago at={doubt.since} className="text-xs text-ink3" /> : null}
    </span>
  );
}
