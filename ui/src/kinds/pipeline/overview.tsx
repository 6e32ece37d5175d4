// A pipeline at a glance: its stages (with a live run's numbers), its runs by stage, what it takes and gives.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { resourceRunsQuery } from "@/api/queries";
import { CommandLine, Empty } from "@/components/situation";
import { Panel } from "@/components/panel";
import { Prose } from "@/components/prose";
import { RunGrid } from "@/components/run-grid";
import { RunLink } from "@/components/run-link";
import { RunProgressCell } from "@/components/run-progress";
import { RunState } from "@/components/run-state";
import { Ago, Elapsed } from "@/components/time";
import { Skeleton, SkeletonRows } from "@/components/ui/skeleton";
import { inlineJson } from "@/lib/format";
import type { TabProps } from "@/kinds/registry";
import { pipelineOf } from "./spec";
import { StageFlow } from "./stage-flow";

export default function PipelineOverview({ kind, resource }: TabProps) {
  const runs = useInfiniteQuery(resourceRunsQuery(kind.plural, resource.name, 24));
  const pipeline = useMemo(() => pipelineOf(resource.spec), [resource.spec]);
  const live = runs.data?.find((run) => run.state === "running") ?? null;
  const newest = runs.data?.slice(0, 6) ?? [];
  const params = Object.entries(pipeline.params?.properties ?? {});

  return (
    <div className="grid gap-3.5">
      {resource.published ? (
        <section aria-label="Stages" className="min-w-0">
          {live ? (
            <p className="mb-2 flex flex-wrap items-center gap-2 text-ink2">
              <RunState run={live} /> <RunLink run={live} /> <Elapsed from={live.started_at} to={live.ended_at} />
            </p>
          ) : null}
          <StageFlow stages={pipeline.stages} progress={live?.progress ?? null} />
        </section>
      ) : (
        <Panel>
          <Empty title="Nothing published yet">
            A run starts from a published revision. Finish the working copy under YAML and publish it, or run{" "}
            <CommandLine>{`qd publish ${kind.plural}/${resource.name}`}</CommandLine>.
          </Empty>
        </Panel>
      )}
      <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1.5fr)_minmax(0,1fr)]">
        <div className="grid min-w-0 gap-3.5">
          <Panel title="Runs by stage" aside="the last 24, newest at the right">
            {runs.isPending ? (
              <Skeleton className="m-3.5 h-24" />
            ) : runs.data && runs.data.length > 0 ? (
              <RunGrid runs={runs.data} stages={pipeline.stages} />
            ) : (
              <Empty title="No runs yet">Start one with “Start run…”, and each stage of it gets a square here.</Empty>
            )}
          </Panel>
          <Panel title="Newest runs">
            {runs.isPending ? (
              <SkeletonRows rows={4} />
            ) : newest.length === 0 ? (
              <Empty title="No runs yet" />
            ) : (
              <ul>
                {newest.map((run) => (
                  <li key={run.id} className="flex flex-wrap items-center gap-x-4 gap-y-1 border-t px-3.5 py-2 first:border-t-0 hover:bg-sunken/60">
                    <span className="w-32">
                      <RunLink run={run} />
                    </span>
                    <span className="w-24">
                      <RunState run={run} />
                    </span>
                    <span className="text-ink3">r{run.revision}</span>
                    <RunProgressCell run={run} />
                    <span className="ml-auto flex">
                      <span className="text-ink2">
                        <Elapsed from={run.started_at} to={run.ended_at} />
                      </span>
                      <Ago at={run.created_at} className="w-24 text-right text-ink3" />
                    </span>
                  </li>
                ))}
              </ul>
            )}
          </Panel>
        </div>
        <Panel title="What it does" aside={resource.published ? `revision r${resource.published.number}` : undefined}>
          <dl className="divide-y">
            {resource.description ? (
              <div className="px-3.5 py-2">
                <dt className="sr-only">Description</dt>
                <dd>{resource.description}</dd>
              </div>
            ) : null}
            {(resource.spec
              ? ([
                  ["Mode", pipeline.mode],
                  ["Input", pipeline.input],
                  ["Output", pipeline.output],
                  ["Target", pipeline.target],
                ] as const)
              : []
            ).map(([label, value]) => (
              <div key={label} className="grid grid-cols-[92px_minmax(0,1fr)] gap-2 px-3.5 py-1.5">
                <dt className="text-ink3">{label}</dt>
                <dd className="mono break-all">{value}</dd>
              </div>
            ))}
            {params.map(([name, schema]) => (
              <div key={name} className="grid grid-cols-[92px_minmax(0,1fr)] gap-2 px-3.5 py-1.5">
                <dt className="text-ink3">param</dt>
                <dd className="min-w-0">
                  <span className="mono font-[560]">{name}</span>{" "}
                  <span className="text-ink3">
                    {schema.enum ? schema.enum.map(inlineJson).join(" | ") : String(schema.type ?? "any")}
                    {schema.default !== undefined ? `, default ${inlineJson(schema.default)}` : ", no default"}
                  </span>
                  {schema.description ? (
                    <div className="text-ink2">
                      <Prose>{schema.description}</Prose>
                    </div>
                  ) : null}
                </dd>
              </div>
            ))}
            <Labels resource={resource} plural={kind.plural} />
          </dl>
        </Panel>
      </div>
    </div>
  );
}

function Labels({ resource, plural }: { resource: TabProps["resource"]; plural: string }) {
  const labels = Object.entries(resource.labels);
  if (labels.length === 0) return null;
  return (
    <div className="grid grid-cols-[92px_minmax(0,1fr)] gap-2 px-3.5 py-1.5">
      <dt className="text-ink3">Labels</dt>
      <dd className="flex flex-wrap gap-1.5">
        {labels.map(([key, value]) => (
          <Link
            key={key}
            to="/$plural"
            params={{ plural }}
            search={{ label: `${key}:${value}` }}
            className="mono rounded bg-sunken px-1.5 text-ink2 hover:text-ink"
          >
            {key}:{value}
          </Link>
        ))}
      </dd>
    </div>
  );
}
