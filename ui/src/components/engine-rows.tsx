// Engines with the age of their reading. An old reading is shown as unknown with its age: never as healthy.
import { useQuery } from "@tanstack/react-query";
import { enginesQuery } from "@/api/queries";
import type { Engine } from "@/api/types";
import { percent } from "@/lib/format";
import { useNow } from "@/lib/now";
import { Meter } from "./panel";
import { Empty, Failure } from "./situation";
import { State } from "./state";
import { Age } from "./time";
import { SkeletonRows } from "./ui/skeleton";

const STALE_S = 120;

export function shownEngineState(engine: Engine, now: number): string {
  return now - Date.parse(engine.observed_at) > STALE_S * 1000 ? "unknown" : engine.state;
}

export function EngineRows({ detailed = false }: { detailed?: boolean }) {
  const query = useQuery(enginesQuery);
  const now = useNow();
  if (query.isPending) return <SkeletonRows rows={2} />;
  if (query.isError && !query.data) return <Failure what="Could not read the engines" error={query.error} retry={() => void query.refetch()} />;
  const engines = query.data ?? [];
  if (engines.length === 0) return <Empty title="No engines">This server has no plane that runs anything.</Empty>;
  return (
    <ul>
      {engines.map((engine) => {
        const state = shownEngineState(engine, now);
        return (
          <li key={engine.name} className="flex flex-wrap items-center gap-x-4 gap-y-0.5 border-t px-3.5 py-2 first:border-t-0 hover:bg-sunken/60">
            <span className="min-w-28 sm:min-w-48">
              <span className="font-[540]">{engine.title || engine.name}</span> <span className="text-ink3">{engine.version}</span>
            </span>
            <State state={state} />
            {state === "unknown" && engine.state !== "unknown" ? <span className="text-xs text-ink3">was {engine.state}</span> : null}
            <span className="ml-auto">
              <Age at={engine.observed_at} staleAfter={STALE_S} />
            </span>
            {engine.progress?.total && state !== "unknown" ? (
              <span className="flex w-full items-center gap-2 text-xs text-ink2">
                <Meter value={percent(engine.progress.step ?? 0, engine.progress.total)} label={`Preparing ${engine.title || engine.name}`} className="w-24" />
                step {engine.progress.step ?? 0} of {engine.progress.total}: {engine.progress.title}
              </span>
            ) : null}
            {engine.detail ? (
              <span className={detailed ? "w-full break-words text-ink2" : "line-clamp-1 w-full text-xs text-ink2"} title={engine.detail}>
                {engine.detail}
              </span>
            ) : null}
          </li>
        );
      })}
    </ul>
  );
}
