// The stages as a row of cards, the way the run page begins: where is it slow, where is it broken.
import type { RunProgress, StageProgress } from "@/api/types";
import { Meter } from "@/components/panel";
import { State } from "@/components/state";
import { cn } from "@/lib/cn";
import { batchTime, count, percent, rate } from "@/lib/format";
import { classOf, sizeOf, type StageView } from "./spec";

function Line({ label, value, title }: { label: string; value: string; title?: string }) {
  return (
    <div className="flex justify-between gap-3 pt-[3px] text-xs" title={title}>
      <dt className="text-ink2">{label}</dt>
      <dd className="truncate font-[540] text-ink">{value}</dd>
    </div>
  );
}

function actorsOf(stage: StageProgress): string {
  const up = stage.actors.running + stage.actors.idle;
  return `${up} / ${stage.actors.target ?? "–"}`;
}

export function StageFlow({
  stages,
  progress,
  over = false,
  failed = null,
  failure = null,
}: {
  stages: StageView[];
  progress: RunProgress | null;
  over?: boolean;
  failed?: string | null;
  failure?: string | null;
}) {
  const shown: { id: string; name: string; view: StageView | null; live: StageProgress | null }[] = stages.length
    ? stages.map((view) => ({ id: view.id, name: view.name, view, live: progress?.stages.find((each) => each.id === view.id) ?? null }))
    : (progress?.stages ?? []).map((live) => ({ id: live.id, name: live.name || live.id, view: null, live }));
  return (
    <ol
      aria-label="Stages"
      className="grid grid-cols-1 gap-2.5 sm:grid-cols-[repeat(auto-fit,minmax(168px,1fr))] sm:gap-x-6 sm:gap-y-3.5"
    >
      {shown.map(({ id, name, view, live }) => {
        const hot = !over && progress?.bottleneck === id;
        const broken = failed === id;
        // What has gone in, of all there is: later stages see fewer items where earlier ones drop some.
        const share = live?.state === "succeeded" ? 100 : percent(live?.items_in ?? 0, progress?.inputs_total);
        return (
          <li
            key={id}
            data-stage={id}
            className={cn(
              "relative min-w-0 rounded-lg border bg-panel px-3 py-2.5 shadow-panel",
              "sm:not-last:after:absolute sm:not-last:after:top-1/2 sm:not-last:after:-right-[25px] sm:not-last:after:w-6 sm:not-last:after:border-t-[1.5px] sm:not-last:after:border-line2",
              hot && "border-warn",
              broken && "border-bad",
            )}
          >
            <h3 className="truncate font-semibold" title={name}>
              {name}
            </h3>
            <div className="mt-0.5 flex min-h-5 items-center gap-2">
              <span className="mono min-w-0 truncate text-ink3" title={view?.uses}>
                {view?.template ? `template ${view.template}` : view ? classOf(view.uses) : id}
              </span>
              {broken ? (
                <State state="failed" className="ml-auto" />
              ) : hot ? (
                <State state="degraded" word="Bottleneck" className="ml-auto" />
              ) : live && (live.state !== "running" || !over) ? (
                <State state={live.state} className="ml-auto" />
              ) : null}
            </div>
            {live ? (
              <>
                {share === null ? (
                  <div aria-hidden className="mt-1.5 mb-1 border-t" />
                ) : (
                  <Meter
                    className="mt-1.5 mb-1"
                    value={share}
                    label={`Progress of ${name}`}
                    tone={broken ? "bad" : hot ? "warn" : over ? (live.state === "succeeded" ? "ok" : "idle") : "run"}
                  />
                )}
                <dl>
                  {over ? (
                    <Line label="Items out" value={count(live.items_out)} />
                  ) : (
                    <Line label="Items/s" value={rate(live.items_per_s)} title={live.process_time_s === null ? undefined : `${batchTime(live.process_time_s)} for one batch`} />
                  )}
                  {over ? <Line label="Items in" value={count(live.items_in)} /> : <Line label="Queue" value={count(live.queue_in)} />}
                  {over ? (
                    <Line label="Time of a batch" value={batchTime(live.process_time_s)} />
                  ) : (
                    <Line
                      label="Actors"
                      value={actorsOf(live)}
                      title={`${live.actors.running} running, ${live.actors.idle} idle, ${live.actors.pending} pending, wanted ${live.actors.target ?? "–"}`}
                    />
                  )}
                  {live.dropped > 0 ? (
                    <div className="flex justify-between pt-[3px] text-xs text-warn">
                      <dt>Dropped</dt>
                      <dd className="font-[540]">{count(live.dropped)}</dd>
                    </div>
                  ) : null}
                </dl>
              </>
            ) : view ? (
              <p className="mt-1 text-xs text-ink2">{sizeOf(view)}</p>
            ) : null}
            {broken && failure ? <p className="mt-1.5 line-clamp-2 text-xs break-words text-bad">{failure}</p> : null}
          </li>
        );
      })}
    </ol>
  );
}
