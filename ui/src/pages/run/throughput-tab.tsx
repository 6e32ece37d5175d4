// A run's charts, one small one a stage, with one cursor through all of them.
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useMemo, useState } from "react";
import { runMetricsQuery } from "@/api/queries";
import type { MetricPoint } from "@/api/types";
import { Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Skeleton } from "@/components/ui/skeleton";
import { cn } from "@/lib/cn";
import { count, rate } from "@/lib/format";
import { useDark, usePreferences } from "@/lib/preferences";
import { isRunOver } from "@/lib/state";
import type { RunTabProps } from "./page";

const Chart = lazy(() => import("@/components/chart/chart"));

const METRICS = {
  items_per_s: { label: "Items/s", format: rate },
  queue: { label: "Queue", format: count },
  actors: { label: "Actors", format: count },
} as const;
type Metric = keyof typeof METRICS;

export default function ThroughputTab({ run, stages }: RunTabProps) {
  const query = useQuery(runMetricsQuery(run.id));
  const [metric, setMetric] = useState<Metric>("items_per_s");
  const dark = useDark();
  const { zone } = usePreferences();
  const order = stages.map((stage) => stage.id);
  const names = new Map(stages.map((stage) => [stage.id, stage.name]));
  const shown = (query.data?.stages ?? [])
    .filter((stage) => stage.points.length > 0)
    .sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
  return (
    <Panel
      title="Throughput"
      aside={
        <span className="flex rounded-md border" role="group" aria-label="What is charted">
          {(Object.keys(METRICS) as Metric[]).map((id) => (
            <button
              key={id}
              type="button"
              aria-pressed={metric === id}
              onClick={() => setMetric(id)}
              className={cn(
                "min-h-7 px-2.5 text-xs first:rounded-l-md last:rounded-r-md max-sm:min-h-11",
                metric === id ? "bg-accent-soft font-[560] text-accent" : "text-ink2 hover:bg-sunken",
              )}
            >
              {METRICS[id].label}
            </button>
          ))}
        </span>
      }
    >
      {query.isPending ? (
        <div className="grid gap-3 p-3.5 lg:grid-cols-2">
          {stages.map((stage) => (
            <Skeleton key={stage.id} className="h-32" />
          ))}
        </div>
      ) : query.isError ? (
        <Failure what="Could not read the measurements" error={query.error} retry={() => void query.refetch()} />
      ) : shown.length === 0 ? (
        <Empty title="Nothing measured yet">The first measurement comes about a second after the stages have started.</Empty>
      ) : (
        <Suspense fallback={<Skeleton className="m-3.5 h-60" />}>
          <div className="grid gap-x-6 gap-y-3 p-3.5 lg:grid-cols-2">
            {shown.map((stage) => (
              <StageChart
                key={stage.id}
                name={names.get(stage.id) ?? stage.id}
                hot={run.progress?.bottleneck === stage.id && !isRunOver(run.state)}
                points={stage.points}
                metric={metric}
                dark={dark}
                zone={zone}
                sync={run.id}
              />
            ))}
          </div>
        </Suspense>
      )}
    </Panel>
  );
}

function StageChart({
  name,
  hot,
  points,
  metric,
  ...chart
}: {
  name: string;
  hot: boolean;
  points: MetricPoint[];
  metric: Metric;
  dark: boolean;
  zone: "utc" | "local";
  sync: string;
}) {
  const times = useMemo(() => points.map((point) => Date.parse(point.at) / 1000), [points]);
  const values = useMemo(() => points.map((point) => point[metric] ?? null), [points, metric]);
  const { label, format } = METRICS[metric];
  const known = values.filter((value): value is number => value !== null);
  const last = known.at(-1) ?? null;
  const top = known.length > 0 ? Math.max(...known) : null;
  return (
    <section className="min-w-0">
      <div className="flex items-center gap-2">
        <h3 className="font-[560]">{name}</h3>
        {hot ? <State state="degraded" word="Bottleneck" /> : null}
        <span className="ml-auto text-ink2">
          <b className="font-[560] text-ink">{format(last)}</b> <span className="text-xs text-ink3">{label.toLowerCase()}, most {format(top)}</span>
        </span>
      </div>
      <Chart label={`${label} of ${name}, last ${format(last)}, most ${format(top)}`} times={times} values={values} format={format} tone={hot ? "warn" : "run"} {...chart} />
    </section>
  );
}
